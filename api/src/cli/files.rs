//! Files that a person names on the command line.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use everfold_engine::json::strict;
use serde_json::Value;

use crate::fault::{Code, Fault};

/// The text of a file; `-` is standard input.
pub(crate) fn text(path: &Path) -> Result<String, Fault> {
    let name = path.display();
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes = bytes.map_err(|error| match error.kind() {
        ErrorKind::IsADirectory => {
            Fault::new(Code::File, format!("{name} is a folder")).hint("name a file in it")
        }
        _other => Fault::new(Code::File, format!("could not read {name}: {error}")),
    })?;
    String::from_utf8(bytes).map_err(|error| no_text(&name.to_string(), &error))
}

/// Says which byte is no text, and where it stands.
fn no_text(name: &str, error: &std::string::FromUtf8Error) -> Fault {
    let bytes = error.as_bytes();
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Fault::new(Code::File, format!("{name} is UTF-16")).hint("save it as UTF-8");
    }
    let before = &bytes[..error.utf8_error().valid_up_to()];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    let byte = bytes.get(before.len()).copied().unwrap_or_default();
    Fault::new(Code::File, format!("{name}:{line}:{column}: the byte 0x{byte:02X} is no UTF-8"))
        .hint("save it as UTF-8")
}

/// The JSON document in a file; `-` is standard input.
pub(crate) fn json(path: &Path) -> Result<Value, Fault> {
    let (name, text) = (path.display(), text(path)?);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let value = strict::unambiguous(text.as_bytes()).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        if is_too_deep(&error) {
            let what = format!("{name}:{line}:{column}: values are nested deeper than 128 levels");
            return Fault::new(Code::File, what)
                .hint("give the inner values as text, or in files of their own");
        }
        if error.is_data() {
            return Fault::new(Code::File, format!("{name}: {error}"))
                .hint("keep the value that is meant, and remove the other");
        }
        Fault::new(Code::File, format!("{name} is no JSON: {error}"))
            .hint("strings and names stand in double quotes, and nothing follows the last value")
    })?;
    match strict::beyond_64_bits(text.as_bytes()) {
        Some(number) => {
            Err(Fault::new(Code::File, format!("{name}: the number {number} does not fit into 64 bits"))
                .hint("write it as a text, in double quotes"))
        }
        None => Ok(value),
    }
}

fn is_too_deep(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("recursion limit exceeded")
}

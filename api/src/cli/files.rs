//! Files that a person names on the command line.

use std::io::ErrorKind;
use std::path::Path;

use everfold_engine::json::strict;
use everfold_engine::regular;
use serde_json::Value;

use crate::fault::{Code, Fault};
use crate::http::BODY_BYTES_MAX;
use crate::named_file;

/// What a file is for, which says how large it may be.
pub(crate) struct FileKind {
    bytes_max: u64,
    /// What to do with a larger one.
    hint: &'static str,
}

impl FileKind {
    /// A pipeline, or its test cases. Their reader takes 1 MiB, and says so of what is a little larger.
    pub(crate) const PIPELINE: Self =
        Self { bytes_max: 8 * 1024 * 1024, hint: "move long prompts into files of their own" };
    /// A value that goes into the body of a request: written with blanks it is longer than the body.
    pub(crate) const VALUE: Self =
        Self { bytes_max: 4 * BODY_BYTES_MAX as u64, hint: "have a step read it, and name the file" };
    /// What was delivered to a webhook; the server says how long it may be.
    pub(crate) const DELIVERY: Self =
        Self { bytes_max: 4 * BODY_BYTES_MAX as u64, hint: "no larger one is taken from a sender" };
    /// A credential; the server says how long the value itself may be.
    pub(crate) const CREDENTIAL: Self =
        Self { bytes_max: 64 * 1024, hint: "name the file that holds the credential alone" };
}

/// The text of a file; `-` is standard input.
pub(crate) fn text(path: &Path, kind: &FileKind) -> Result<String, Fault> {
    let name = path.display();
    let bytes = read(path, kind.bytes_max)?.ok_or_else(|| {
        let most = match kind.bytes_max >> 20 {
            0 => format!("{} KiB", kind.bytes_max >> 10),
            most => format!("{most} MiB"),
        };
        Fault::new(Code::File, format!("{name} is larger than {most}")).hint(kind.hint)
    })?;
    String::from_utf8(bytes).map_err(|error| no_text(&name.to_string(), &error))
}

/// The bytes of a file; `None` when it is larger.
fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, Fault> {
    let read = match path == Path::new("-") {
        true => regular::read_from(std::io::stdin().lock(), bytes_max),
        false => named_file::read_bounded(path, bytes_max),
    };
    let name = path.display();
    read.map_err(|error| match error.kind() {
        ErrorKind::IsADirectory | ErrorKind::InvalidInput if path.is_dir() => {
            Fault::new(Code::File, format!("{name} is a folder")).hint("name a file in it")
        }
        ErrorKind::InvalidInput => Fault::new(Code::File, format!("could not read {name}: {error}"))
            .hint("name a file; `-` reads standard input"),
        _other => Fault::new(Code::File, format!("could not read {name}: {error}")),
    })
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
    let (name, text) = (path.display(), text(path, &FileKind::VALUE)?);
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

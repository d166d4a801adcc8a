//! `--credential NAME`: values that a command brings, read where no list of processes shows them.

use std::path::Path;

use everfold_engine::definition::is_credential_name;

use super::files::{self, FileKind};
use crate::credential_header::CREDENTIAL_HEADER;
use crate::fault::{Code, Fault};

/// How the variables begin that hold credentials.
const VARIABLE: &str = "EVERFOLD_CREDENTIAL_";

/// The headers that bring the credentials that the arguments name.
///
/// # Errors
/// [`Code::Usage`]: a name is none, its value is not there, or no header can carry it.
pub(super) fn headers(given: &[String]) -> Result<Vec<(String, String)>, Fault> {
    let read = |argument: &String| {
        let (name, value) = value_of(argument)?;
        Ok((format!("{CREDENTIAL_HEADER}{name}"), value))
    };
    given.iter().map(read).collect()
}

fn value_of(argument: &str) -> Result<(String, String), Fault> {
    let usage = |what: String| Fault::new(Code::Usage, what);
    let (name, place) = match argument.split_once('=') {
        None => (argument, None),
        Some((name, place)) => (name, Some(place)),
    };
    // A mistyped argument may hold the value: it is not repeated.
    if !is_credential_name(name) {
        return Err(usage(
            "--credential takes the name of a credential: lower-case letters, digits and `-`".to_owned(),
        )
        .hint(
            "--credential claude, with the value in EVERFOLD_CREDENTIAL_CLAUDE, or --credential claude=@FILE",
        ));
    }
    let variable = format!("{VARIABLE}{}", name.to_ascii_uppercase().replace('-', "_"));
    let value = match place.map(|place| place.strip_prefix('@')) {
        None => std::env::var(&variable).map_err(|_| {
            usage(format!("--credential {name}: there is no variable {variable} that holds a text"))
                .hint(format!("set it, or read a file: --credential {name}=@FILE (@- is standard input)"))
        })?,
        Some(Some(path)) => files::text(Path::new(path), &FileKind::CREDENTIAL)?,
        Some(None) => {
            return Err(usage(format!(
                "--credential {name}: a value on the command line is shown in lists of processes"
            ))
            .hint(format!(
                "put it into the variable {variable}, or into a file: --credential {name}=@FILE"
            )));
        }
    };
    // The line end of a file is no part of it.
    let value =
        value.strip_suffix('\n').map_or(value.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if value.chars().any(char::is_control) || value.trim() != value {
        return Err(usage(format!(
            "--credential {name}: no header carries line ends, control characters, or blanks at its ends"
        ))
        .hint("bring it encoded, as base64, and have the step decode it"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_from_a_file_and_never_from_the_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "sk-from-file\r\n").unwrap();
        let read = headers(&[format!("claude-token=@{}", file.display())]).unwrap();
        assert_eq!(read, [("Everfold-Credential-claude-token".to_owned(), "sk-from-file".to_owned())]);
        std::fs::write(&file, "two\nlines").unwrap();
        for (argument, part) in [
            ("claude=sk-typed".to_owned(), "lists of processes"),
            ("sk_Typed".to_owned(), "takes the name"),
            ("never-set-here".to_owned(), "EVERFOLD_CREDENTIAL_NEVER_SET_HERE"),
            (format!("claude=@{}", file.display()), "line ends"),
        ] {
            let fault = headers(&[argument]).unwrap_err();
            assert!(fault.code == Code::Usage && fault.message.contains(part), "{fault}");
            let said = format!("{fault:?}");
            assert!(!said.contains("sk-typed") && !said.contains("sk_Typed"), "{said}");
        }
    }
}

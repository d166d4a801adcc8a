//! `projects.yaml` as it is read and written.
//!
//! Law: the file belongs to people. What cannot be read is not written over, what would not read as intended is not
//! written, and where a write fails the former text stands again: it needs no place that the file does not have.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Seek as _, Write as _};
use std::path::Path;

use everfold_engine::definition::value_of;
use everfold_engine::json::Value;

use super::checklist::SetupFinding;

/// The text of the document; `None`: there is none.
pub(super) fn text_of(path: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// What the document says, or what is wrong with it.
pub(super) fn read(path: &Path) -> Result<Value, SetupFinding> {
    let text = text_of(path).map_err(SetupFinding::Out)?;
    let text = text.ok_or_else(|| SetupFinding::Missing(format!("there is no {}", path.display())))?;
    value_of(&text).ok_or_else(|| SetupFinding::Out(format!("{} is no YAML", path.display())))
}

/// Adds a line at the end, where the document then reads as intended and its projects as before.
pub(super) fn add_line(path: &Path, line: &str, is_right: impl FnOnce(&Value) -> bool) -> Result<(), String> {
    let former = text_of(path)?.ok_or_else(|| format!("there is no {}", path.display()))?;
    let end = if former.is_empty() || former.ends_with('\n') { "" } else { "\n" };
    let text = format!("{former}{end}{line}\n");
    let before = value_of(&former).unwrap_or_default();
    let reads = |document: Value| document["projects"] == before["projects"] && is_right(&document);
    if !value_of(&text).is_some_and(reads) {
        return Err(format!("{}: the line would not read as intended: {line}", path.display()));
    }
    write(path, &former, &text)
}

/// Writes a text that is longer than the former one.
pub(super) fn write(path: &Path, former: &str, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
    written.map_err(|error| {
        let restored = file
            .rewind()
            .and_then(|()| file.write_all(former.as_bytes()))
            .and_then(|()| file.set_len(former.len() as u64));
        match restored {
            Ok(()) => failed(error),
            Err(also) => format!("{}; nor could its former text be put back: {also}", failed(error)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_cannot_be_read_is_not_taken_for_one_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(text_of(&folder.path().join("none.yaml")), Ok(None));
        // A folder stands for a file that cannot be read, which a test of root could not make.
        let why = text_of(folder.path()).unwrap_err();
        assert!(why.contains("directory"), "{why}");
        assert!(matches!(read(folder.path()), Err(SetupFinding::Out(_))));
    }

    #[test]
    fn a_write_to_a_full_device_is_told() {
        let why = write(Path::new("/dev/full"), "", "projects: {}\n").unwrap_err();
        assert!(why.contains("/dev/full: No space left on device"), "{why}");
    }

    #[test]
    fn a_line_is_added_behind_what_is_there_and_not_where_it_changes_the_projects() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("projects.yaml");
        std::fs::write(&path, "# ours\nprojects: { p1: { repo: shop } }").unwrap();
        add_line(&path, "bots: [ada]", |document| document["bots"][0] == "ada").unwrap();
        let text = "# ours\nprojects: { p1: { repo: shop } }\nbots: [ada]\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let why = add_line(&path, "projects: {}", |_| true).unwrap_err();
        assert!(why.contains("would not read as intended"), "{why}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

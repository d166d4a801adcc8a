//! Settings documents as they are now: YAML and JSON files, merged.
//!
//! Law: they are read and put together as at a run's start. An earlier source wins over a later one, map by
//! map; lists and everything else are taken whole. A file that is not there is passed over; where nothing at
//! all is there, that is an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use everfold_base::json::Value;
use everfold_core::decide::begin::{self, SkippedRecord};
use everfold_language::definition::settings_of;
use serde::Deserialize;

use everfold_system::regular::read_bounded;

/// The largest document that is read.
const DOCUMENT_BYTES_MAX: u64 = 1024 * 1024;

/// Where a part of a document comes from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentSource {
    /// A file; `~/` stands for the home of the engine's user.
    File(PathBuf),
    /// Written in the pipeline.
    Values(Value),
}

/// A document of several sources.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// What they say together.
    pub value: Value,
    /// The files that were there, the winning one first.
    pub files: Vec<PathBuf>,
    /// Records that were left out, because they do not fit their schema.
    pub skipped: Vec<SkippedRecord>,
}

/// A document cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentReadError {
    /// None of its files is there, and the pipeline writes no values.
    #[error("none of the files is there: {}", .files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "))]
    NoneThere {
        /// The files that were looked for.
        files: Vec<PathBuf>,
    },
    /// A file could not be read.
    #[error("{} could not be read: {source}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// A file is larger than a document may be.
    #[error("{} is larger than 1 MiB", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// A file does not hold what its name says.
    #[error("{message}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and where.
        message: String,
    },
}

/// Reads the sources of the document `name`; files are relative to `folder`. Records that do not fit their schema in
/// `records` are left out.
///
/// # Errors
/// [`DocumentReadError`]: nothing is there, or what is there cannot be read.
pub fn merged(
    folder: &Path,
    sources: &[DocumentSource],
    (name, records): (&str, &BTreeMap<String, Value>),
) -> Result<Merged, DocumentReadError> {
    let mut skipped = Vec::new();
    let mut documents = Vec::new();
    let mut files = Vec::new();
    let mut missing = Vec::new();
    for source in sources {
        let next = match source {
            DocumentSource::Values(values) => values.clone(),
            DocumentSource::File(file) => {
                let file = match (file.strip_prefix("~"), std::env::home_dir()) {
                    (Ok(below), Some(home)) => home.join(below),
                    _as_it_stands => folder.join(file),
                };
                match read(&file)? {
                    None => {
                        missing.push(file);
                        continue;
                    }
                    Some(next) => {
                        files.push(file);
                        next
                    }
                }
            }
        };
        let mut next = next;
        skipped.extend(begin::keep_sound(records, name, &mut next));
        documents.push(next);
    }
    let value = begin::merge(documents).ok_or(DocumentReadError::NoneThere { files: missing })?;
    Ok(Merged { value, files, skipped })
}

fn read(file: &Path) -> Result<Option<Value>, DocumentReadError> {
    let bytes = match read_bounded(file, DOCUMENT_BYTES_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(DocumentReadError::TooLarge { file: file.to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DocumentReadError::Io { file: file.to_owned(), source }),
    };
    let malformed = |message: String| DocumentReadError::Malformed { file: file.to_owned(), message };
    let text =
        String::from_utf8(bytes).map_err(|_| malformed(format!("{} is no UTF-8 text", file.display())))?;
    settings_of(&text, &file.display().to_string()).map(Some).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn earlier_sources_win_map_by_map_and_missing_files_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("own.yaml"), "limits: {cost: 5, deep: {a: true}}\nnames: [x]\n")
            .unwrap();
        std::fs::write(
            folder.path().join("team.json"),
            r#"{"limits": {"cost": 9, "deep": {"b": 1.5}}, "names": ["y", "z"], "none": null}"#,
        )
        .unwrap();
        std::fs::write(folder.path().join("base.yml"), "none: given\nwords: [1_000, 017, 1e3, no, 1.10]\n")
            .unwrap();
        let sources = ["missing.yaml", "own.yaml", "team.json", "base.yml"]
            .map(|name| DocumentSource::File(name.into()));
        let found = merged(
            folder.path(),
            &[&sources[..], &[DocumentSource::Values(json!({"limits": {"wall": "1h"}}))]].concat(),
            ("d", &BTreeMap::new()),
        )
        .unwrap();
        assert_eq!(found.files.len(), 3);
        assert_eq!(
            found.value,
            json!({"limits": {"cost": 5, "deep": {"a": true, "b": 1.5}, "wall": "1h"}, "names": ["x"], "none": null,
                "words": ["1_000", "017", 1e3, "no", 1.1]})
        );
        let none = merged(folder.path(), &sources[..1], ("d", &BTreeMap::new())).unwrap_err();
        assert!(none.to_string().contains("missing.yaml"), "{none}");
        std::fs::write(folder.path().join("own.yaml"), "a: [").unwrap();
        let none = BTreeMap::new();
        assert!(matches!(
            merged(folder.path(), &sources, ("d", &none)),
            Err(DocumentReadError::Malformed { .. })
        ));
    }
}

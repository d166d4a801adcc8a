//! The file that `EVERFOLD_PROGRESS` names: how far a process is, as it writes it while it works.
//!
//! Law: what cannot be read is no report and fails nothing: the next version of the file is read. A link in its place is
//! not followed: what it leads to is not the process's own. Of a process that is given
//! secrets only the numbers are taken: what it writes here is not masked by its supervisor.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use everfold_core::progress::{ProgressItem, WorkProgress};
use everfold_system::regular;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::byte_order_mark::behind_mark;
use crate::shim::protocol::PROGRESS;

/// A larger file is not read.
const BYTES_MAX: u64 = 64 * 1024;

/// The file, and what was read of it.
pub(crate) struct ProgressFile {
    path: PathBuf,
    takes_texts: bool,
    /// The version that was read last.
    read: Option<(u64, Option<SystemTime>)>,
    /// What that said.
    reported: Option<WorkProgress>,
}

/// What a report may say; null is as much as not said.
#[derive(Deserialize)]
struct WrittenProgress {
    done: Option<u64>,
    of: Option<u64>,
    items: Option<Vec<WrittenItem>>,
    note: Option<String>,
}

/// The keys of a report: a document without any of them is none.
const KEYS: [&str; 4] = ["done", "of", "items", "note"];

/// A part by its name alone, or with whether it is done.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenItem {
    Name(String),
    Part {
        text: String,
        #[serde(default)]
        done: bool,
    },
}

impl ProgressFile {
    pub(crate) fn new(folder: &Path, takes_texts: bool) -> Self {
        Self { path: folder.join(PROGRESS), takes_texts, read: None, reported: None }
    }

    /// What the process wrote since the last look.
    pub(crate) fn look(&mut self) -> Option<WorkProgress> {
        let about = std::fs::symlink_metadata(&self.path).ok()?;
        let version = (about.len(), about.modified().ok());
        if self.read == Some(version) {
            return None;
        }
        let bytes = regular::read_unlinked(&self.path, BYTES_MAX).ok()??;
        // Half a file is written to its end before the next look.
        let written = report(&bytes)?;
        self.read = Some(version);
        let progress = self.taken(written);
        let is_news = self.reported.replace(progress.clone()).as_ref() != Some(&progress);
        is_news.then_some(progress)
    }

    fn taken(&self, written: WrittenProgress) -> WorkProgress {
        let WrittenProgress { done, of, items, note } = written;
        let (done, of) = (done.unwrap_or(0), of.unwrap_or(0));
        if !self.takes_texts {
            return WorkProgress { done, of, ..WorkProgress::default() };
        }
        let item = |item| match item {
            WrittenItem::Name(text) => ProgressItem { text, done: false },
            WrittenItem::Part { text, done } => ProgressItem { text, done },
        };
        WorkProgress { done, of, items: items.into_iter().flatten().map(item).collect(), note }
    }
}

/// A report; `None` of a document that is none.
fn report(bytes: &[u8]) -> Option<WrittenProgress> {
    // A list would be read as the fields in their order.
    let fields: Map<String, Value> = serde_json::from_slice(behind_mark(bytes)).ok()?;
    if !KEYS.iter().any(|key| fields.contains_key(*key)) {
        return None;
    }
    serde_json::from_value(Value::Object(fields)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_told_once_and_what_is_no_report_fails_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = ProgressFile::new(folder.path(), true);
        assert_eq!(file.look(), None, "there is no file yet");
        let write = |text: &str| std::fs::write(folder.path().join(PROGRESS), text).unwrap();
        write(r#"{"done": 3, "of""#);
        assert_eq!(file.look(), None, "half a file");
        write(r#"{"done": 3, "of": 8, "note": "linking", "items": ["a", {"text": "b", "done": true}]}"#);
        let read = file.look().unwrap();
        assert_eq!((read.done, read.of, read.note.as_deref()), (3, 8, Some("linking")));
        assert_eq!(read.items.iter().map(|item| item.done).collect::<Vec<_>>(), [false, true]);
        assert_eq!(file.look(), None, "it did not change");
        write(r#"{"done": 3, "of": 8, "note": "linking", "items": ["a", {"text": "b", "done": true}]} "#);
        assert_eq!(file.look(), None, "it says the same");
        let mut numbers = ProgressFile::new(folder.path(), false);
        assert_eq!(numbers.look(), Some(WorkProgress { done: 3, of: 8, ..WorkProgress::default() }));
        write(&" ".repeat(100_000));
        assert_eq!(file.look(), None, "it is too large");
        for none in ["[]", "{}", "[3, 8]", "null", "3", r#"{"dune": 3}"#] {
            write(none);
            assert_eq!(file.look(), None, "{none} is no report");
        }
        write(r#"{"done": 4, "of": null, "items": null, "note": null}"#);
        assert_eq!(file.look(), Some(WorkProgress { done: 4, ..WorkProgress::default() }));
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere.json");
        std::fs::write(&elsewhere, r#"{"done": 3, "of": 8}"#).unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.path().join(PROGRESS)).unwrap();
        let mut file = ProgressFile::new(folder.path(), true);
        assert_eq!(file.look(), None);
        std::fs::remove_file(folder.path().join(PROGRESS)).unwrap();
        std::fs::copy(&elsewhere, folder.path().join(PROGRESS)).unwrap();
        assert_eq!(file.look(), Some(WorkProgress { done: 3, of: 8, ..WorkProgress::default() }));
    }
}

//! The file that `EVERFOLD_PROGRESS` names: how far a process is, as it writes it while it works.
//!
//! Law: what cannot be read is no report and fails nothing: the next version of the file is read. Of a process that is given
//! secrets only the numbers are taken: what it writes here is not masked by its supervisor.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use everfold_core::progress::{ProgressItem, WorkProgress};
use everfold_system::regular;
use serde::Deserialize;

/// The name of the file in the attempt's folder.
pub(crate) const PROGRESS: &str = "progress.json";
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

#[derive(Deserialize)]
struct WrittenProgress {
    #[serde(default)]
    done: u64,
    #[serde(default)]
    of: u64,
    #[serde(default)]
    items: Vec<WrittenItem>,
    #[serde(default)]
    note: Option<String>,
}

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
        let about = std::fs::metadata(&self.path).ok()?;
        let version = (about.len(), about.modified().ok());
        if self.read == Some(version) {
            return None;
        }
        let bytes = regular::read_bounded(&self.path, BYTES_MAX).ok()??;
        // Half a file is written to its end before the next look.
        let written: WrittenProgress = serde_json::from_slice(&bytes).ok()?;
        self.read = Some(version);
        let progress = self.taken(written);
        let is_news = self.reported.replace(progress.clone()).as_ref() != Some(&progress);
        is_news.then_some(progress)
    }

    fn taken(&self, written: WrittenProgress) -> WorkProgress {
        let WrittenProgress { done, of, items, note } = written;
        if !self.takes_texts {
            return WorkProgress { done, of, ..WorkProgress::default() };
        }
        let item = |item| match item {
            WrittenItem::Name(text) => ProgressItem { text, done: false },
            WrittenItem::Part { text, done } => ProgressItem { text, done },
        };
        WorkProgress { done, of, items: items.into_iter().map(item).collect(), note }
    }
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
    }
}

//! How far work is, as it says itself while it works.
//!
//! Law: a report is small whatever its sender says ([`WorkProgress::bounded`]); the same report again is no news.

use serde::{Deserialize, Serialize};

use everfold_base::text::one_line;

/// The longest text of a report, in bytes.
pub const TEXT_BYTES_MAX: usize = 200;
/// The most parts that a report names.
pub const ITEMS_MAX: usize = 50;
/// The most steps and items of which a run knows the last report.
pub const REPORTED_MAX: usize = 1_000;

/// How far an attempt is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkProgress {
    /// So many parts are done.
    pub done: u64,
    /// Of so many; 0: it is not known.
    pub of: u64,
    /// The parts by name.
    pub items: Vec<ProgressItem>,
    /// For readers.
    pub note: Option<String>,
}

/// A part of the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressItem {
    /// Its name.
    pub text: String,
    /// It is done.
    pub done: bool,
}

impl WorkProgress {
    /// The same with texts in one line and cut, at most so many items, and no more done than there is.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if self.of > 0 {
            self.done = self.done.min(self.of);
        }
        self.items.truncate(ITEMS_MAX);
        self.items.iter_mut().for_each(|item| item.text = short(&item.text));
        self.note = self.note.map(|note| short(&note)).filter(|note| !note.is_empty());
        self
    }

    /// The part that is done, from 0 to 1; 0 where it is not known of how many.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.of == 0 { 0.0 } else { self.done as f64 / self.of as f64 }
    }
}

impl std::fmt::Display for WorkProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let note = self.note.as_deref();
        match (self.done, self.of) {
            (0, 0) => f.write_str(note.unwrap_or("0")),
            (done, 0) => write!(f, "{done}"),
            (done, of) => write!(f, "{done}/{of}"),
        }?;
        match note {
            Some(note) if (self.done, self.of) != (0, 0) => write!(f, " {note}"),
            _said => Ok(()),
        }
    }
}

fn short(text: &str) -> String {
    let text = one_line(text);
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_small_whatever_its_sender_says() {
        let item = ProgressItem { text: "é\n".repeat(500), done: true };
        let said = WorkProgress { done: 9, of: 8, items: vec![item; 500], note: Some(String::new()) };
        let kept = said.bounded();
        assert_eq!((kept.done, kept.of, kept.items.len(), kept.note.as_ref()), (8, 8, ITEMS_MAX, None));
        assert!(kept.items.iter().all(|item| item.text.len() <= TEXT_BYTES_MAX && !item.text.contains('\n')));
    }

    #[test]
    fn three_of_eight_is_a_part_and_of_nothing_there_is_none() {
        let progress = |done, of| WorkProgress { done, of, ..WorkProgress::default() };
        assert_eq!(
            (progress(3, 8).share(), progress(0, 0).share(), progress(5, 0).share()),
            (0.375, 0.0, 0.0)
        );
        let noted = WorkProgress { note: Some("linking".into()), ..progress(3, 8) };
        assert_eq!((noted.to_string(), progress(2, 0).to_string()), ("3/8 linking".into(), "2".into()));
    }
}

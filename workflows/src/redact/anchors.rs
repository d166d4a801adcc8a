//! The texts that matches begin with: what is searched for in all text, so that expressions are tried only there.
//!
//! Law: nothing is compiled before the first text is searched. The table that searches fastest takes longer to build than a
//! supervisor of a short command needs for all that it masks: it is built when more than that is to be searched.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// A text that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The number of the text.
    pub(super) anchor: usize,
}

/// So many bytes are searched without a table: about as many as are gone through while one is built.
const WITHOUT_TABLE_BYTES: usize = 16 * 1024;

/// What was found and not yet looked at.
pub(super) type Hits = std::vec::IntoIter<Hit>;

#[cfg(test)]
thread_local! {
    /// How many bytes this thread has gone through.
    pub(super) static BYTES_SEARCHED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The texts, in lower case.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    texts: Vec<String>,
    length_max: usize,
    /// How many bytes were to be searched before there was a table.
    searched: AtomicUsize,
    /// Follows links from state to state: slow, and quickly built.
    linked: OnceLock<Option<AhoCorasick>>,
    /// Has a table.
    tabled: OnceLock<Option<AhoCorasick>>,
}

impl Anchors {
    pub(super) fn new(texts: Vec<String>) -> Self {
        let length_max = texts.iter().map(String::len).max().unwrap_or(0);
        Self { texts, length_max, ..Self::default() }
    }

    /// All of them from a place on: the first begin first, the longest first where several begin.
    pub(super) fn hits(&self, text: &[u8], from: usize) -> Hits {
        #[cfg(test)]
        BYTES_SEARCHED.with(|bytes| bytes.set(bytes.get() + text.len() - from));
        let Some(automaton) = self.automaton(text.len() - from) else { return Vec::new().into_iter() };
        let found = automaton.find_overlapping_iter(&text[from..]);
        let mut hits: Vec<Hit> = found
            .map(|found| Hit {
                start: from + found.start(),
                end: from + found.end(),
                anchor: found.pattern().as_usize(),
            })
            .collect();
        hits.sort_by_key(|hit| (hit.start, std::cmp::Reverse(hit.end), hit.anchor));
        hits.into_iter()
    }

    /// What searches a text of so many bytes.
    fn automaton(&self, bytes: usize) -> Option<&AhoCorasick> {
        let build = |kind| {
            let mut builder = AhoCorasick::builder();
            builder.ascii_case_insensitive(true).match_kind(MatchKind::Standard).kind(Some(kind));
            builder.build(&self.texts).ok()
        };
        let is_short = || {
            let searched = self.searched.fetch_add(bytes.min(WITHOUT_TABLE_BYTES), Ordering::Relaxed);
            searched.saturating_add(bytes) <= WITHOUT_TABLE_BYTES
        };
        if self.tabled.get().is_none() && is_short() {
            return self.linked.get_or_init(|| build(AhoCorasickKind::NoncontiguousNFA)).as_ref();
        }
        self.tabled.get_or_init(|| build(AhoCorasickKind::DFA)).as_ref()
    }

    /// Where the end of a text may be the beginning of one of them, of the places that `begins` allows.
    pub(super) fn perhaps(&self, text: &[u8], from: usize, begins: impl Fn(usize) -> bool) -> Option<usize> {
        let first = text.len().saturating_sub(self.length_max.saturating_sub(1)).max(from);
        (first..text.len()).filter(|at| begins(*at)).find(|at| {
            let rest = &text[*at..];
            self.texts.iter().any(|anchor| {
                let begins = anchor.as_bytes().get(..rest.len());
                anchor.len() > rest.len() && begins.is_some_and(|begins| begins.eq_ignore_ascii_case(rest))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_finds_what_is_found_without_one() {
        let anchors = Anchors::new(["gh", "ghp_", "pass", "password"].map(str::to_owned).to_vec());
        let text = b"a PASSWORD, a ghp_x and gh";
        let found: Vec<Hit> = anchors.hits(text, 0).collect();
        assert_eq!(found.iter().map(|hit| hit.anchor).collect::<Vec<_>>(), [3, 2, 1, 0, 0]);
        assert!(anchors.tabled.get().is_none());
        assert_eq!(anchors.hits(&vec![b'.'; WITHOUT_TABLE_BYTES], 0).count(), 0);
        assert!(anchors.tabled.get().is_some());
        assert_eq!(anchors.hits(text, 0).collect::<Vec<_>>(), found);
    }
}

//! The texts that matches begin with: what is searched for in all text, so that expressions are tried only there.
//!
//! Law: nothing is compiled before the first text is searched.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// A text that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The number of the text.
    pub(super) anchor: usize,
}

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
    automaton: OnceLock<Option<AhoCorasick>>,
}

impl Anchors {
    pub(super) fn new(texts: Vec<String>) -> Self {
        let length_max = texts.iter().map(String::len).max().unwrap_or(0);
        Self { texts, length_max, automaton: OnceLock::new() }
    }

    /// All of them from a place on: the first begin first, the longest first where several begin.
    pub(super) fn hits(&self, text: &[u8], from: usize) -> Hits {
        #[cfg(test)]
        BYTES_SEARCHED.with(|bytes| bytes.set(bytes.get() + text.len() - from));
        let Some(automaton) = self.automaton() else { return Vec::new().into_iter() };
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

    fn automaton(&self) -> Option<&AhoCorasick> {
        let build = || {
            AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::Standard)
                .kind(Some(AhoCorasickKind::DFA))
                .build(&self.texts)
                .ok()
        };
        self.automaton.get_or_init(build).as_ref()
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

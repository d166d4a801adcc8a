//! Texts that are put together from what stands in the file and from what locals stand for.
//!
//! Law: the text and the map of its places grow together.

use std::ops::Range;
use std::sync::Arc;

use super::source_map::{LocalUse, SourceMap};

/// A text with the places of its bytes.
#[derive(Debug, Clone)]
pub(super) struct WrittenText {
    pub(super) text: String,
    pub(super) map: SourceMap,
}

impl WrittenText {
    /// No text yet.
    pub(super) fn empty() -> Self {
        Self { text: String::new(), map: SourceMap::empty() }
    }

    /// Adds a part of a text whose places are known.
    pub(super) fn push_own(&mut self, text: &str, map: &SourceMap, range: Range<usize>) {
        if !range.is_empty() {
            self.text.push_str(&text[range.clone()]);
            self.map.push(map.slice(range));
        }
    }

    /// Adds signs that stand nowhere: they belong to the name of a local.
    pub(super) fn push_made(&mut self, text: &str, used: &LocalUse) {
        self.text.push_str(text);
        self.map.push_made(text.len(), used);
    }

    /// Adds what a local stands for.
    pub(super) fn push_local(&mut self, written: &Self, used: &Arc<LocalUse>) {
        self.text.push_str(&written.text);
        self.map.push(written.map.clone().used(used));
    }
}

//! Masks what comes in pieces.
//!
//! Law: what waits is bounded: at most two windows of one line, or four lines where a private key may begin.

use std::sync::Arc;

use super::patterns::{Patterns, Within};
use super::words::CONTEXT_BYTES;

/// What comes in pieces: the end of a piece in which a match may have begun waits for the next.
pub(crate) struct PatternStream {
    patterns: Arc<Patterns>,
    /// What was shown last, and behind it what waits.
    held: Vec<u8>,
    shown: usize,
    within: Within,
    pub(crate) is_changed: bool,
}

impl std::fmt::Debug for PatternStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PatternStream")
    }
}

impl PatternStream {
    pub(crate) fn new(patterns: Arc<Patterns>) -> Self {
        Self { patterns, held: Vec::new(), shown: 0, within: Within::Text, is_changed: false }
    }

    /// Takes a piece; gives what of it, and of what waited, may be shown.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        self.go_on(piece, false)
    }

    /// Nothing more comes: gives what waited.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.go_on(&[], true)
    }

    fn go_on(&mut self, piece: &[u8], is_last: bool) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        let mut masked = Vec::with_capacity(self.held.len() - self.shown);
        let searched = self.patterns.search(&self.held, self.shown, &mut self.within, is_last, &mut masked);
        self.is_changed |= searched.is_changed;
        let kept = searched.end.saturating_sub(CONTEXT_BYTES);
        self.held.drain(..kept);
        self.shown = searched.end - kept;
        masked
    }
}

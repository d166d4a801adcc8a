//! Where the bytes of a text stand: in the file that it was read from, or in the several of which it was put together.
//!
//! Law: every byte has a place. What a local gave has two: that in the local, where its own mistakes are reported, and that
//! of its name, where it is reported that the local cannot be used there.

use std::ops::Range;
use std::sync::Arc;

use super::codes::Code;
use super::problem::{Problem, SourceText};

/// The places of a text's bytes.
#[derive(Debug, Clone)]
pub(super) struct SourceMap {
    pieces: Vec<TextOrigin>,
}

/// A part of a text that was read at one go.
#[derive(Debug, Clone)]
struct TextOrigin {
    /// Where it ends in the text.
    end: usize,
    source: Arc<SourceText>,
    /// The places of its bytes and of its end begin at `first`; the last one stands for all that follow.
    places: Arc<[usize]>,
    first: usize,
    /// The local that it comes from, and where that is named.
    used: Option<Arc<LocalUse>>,
}

/// A place at which a local is named.
#[derive(Debug)]
pub(super) struct LocalUse {
    pub(super) name: String,
    pub(super) source: Arc<SourceText>,
    pub(super) span: Range<usize>,
}

impl LocalUse {
    /// A problem at the name of the local.
    pub(super) fn problem(&self, code: Code, message: impl Into<String>) -> Problem {
        self.source.problem(code, self.span.clone(), message)
    }
}

impl SourceMap {
    /// The map of a text, with the place of each of its bytes and of its end.
    pub(super) fn new(source: Arc<SourceText>, places: Vec<usize>) -> Self {
        let end = places.len().saturating_sub(1);
        let places = if places.is_empty() { Arc::from([0]) } else { Arc::from(places) };
        Self { pieces: vec![TextOrigin { end, source, places, first: 0, used: None }] }
    }

    /// The map of an empty text.
    pub(super) fn empty() -> Self {
        Self { pieces: Vec::new() }
    }

    /// How long the text is.
    fn len(&self) -> usize {
        self.pieces.last().map_or(0, |piece| piece.end)
    }

    /// Adds the places of a text that follows.
    pub(super) fn push(&mut self, more: Self) {
        let start = self.len();
        self.pieces
            .extend(more.pieces.into_iter().map(|piece| TextOrigin { end: start + piece.end, ..piece }));
    }

    /// Adds so many bytes that stand at one place.
    pub(super) fn push_made(&mut self, bytes: usize, used: &LocalUse) {
        let (source, places) = (Arc::clone(&used.source), Arc::from([used.span.start]));
        let end = self.len() + bytes;
        self.pieces.push(TextOrigin { end, source, places, first: 0, used: None });
    }

    /// The same places, of a text that stands where a local is named.
    pub(super) fn used(mut self, used: &Arc<LocalUse>) -> Self {
        for piece in &mut self.pieces {
            piece.used = Some(Arc::clone(used));
        }
        self
    }

    /// The places of a part.
    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        let mut pieces = Vec::new();
        let mut start = 0;
        for piece in &self.pieces {
            let from = range.start.max(start);
            if from < range.end.min(piece.end) || pieces.is_empty() && piece.end >= range.start {
                let end = range.end.min(piece.end).saturating_sub(range.start);
                pieces.push(TextOrigin { end, first: piece.first + from - start, ..piece.clone() });
            }
            start = piece.end;
        }
        Self { pieces }
    }

    /// The piece with a byte, and where it starts.
    fn piece(&self, offset: usize) -> Option<(&TextOrigin, usize)> {
        let at =
            self.pieces.partition_point(|piece| piece.end <= offset).min(self.pieces.len().checked_sub(1)?);
        let start = at.checked_sub(1).map_or(0, |before| self.pieces[before].end);
        Some((&self.pieces[at], start))
    }

    /// A problem of a part of the text.
    pub(super) fn problem(&self, code: Code, range: Range<usize>, message: impl Into<String>) -> Problem {
        let (source, span) = self.place_of(range);
        source.problem(code, span, message)
    }

    /// A problem of one character, or of the end of the text.
    pub(super) fn problem_at(&self, code: Code, offset: usize, message: impl Into<String>) -> Problem {
        match self.piece(offset) {
            Some((piece, start)) => {
                let at = piece.place(offset - start);
                let end = if offset < piece.end { at + 1 } else { at };
                piece.source.problem(code, at..end, message)
            }
            None => SourceText::new("", "").problem(code, 0..0, message),
        }
    }

    /// Where a part begins and ends in its file.
    pub(super) fn place_of(&self, range: Range<usize>) -> (Arc<SourceText>, Range<usize>) {
        match self.piece(range.start) {
            Some((piece, start)) => {
                let end = range.end.min(piece.end);
                let span = piece.place(range.start - start)..piece.place(end.saturating_sub(start));
                (Arc::clone(&piece.source), span)
            }
            None => (SourceText::new("", ""), 0..0),
        }
    }

    /// The place at which the local is named that a byte comes from.
    pub(super) fn local_use(&self, offset: usize) -> Option<&LocalUse> {
        self.piece(offset)?.0.used.as_deref()
    }
}

impl TextOrigin {
    fn place(&self, offset: usize) -> usize {
        self.places.get(self.first + offset).or(self.places.last()).copied().unwrap_or(0)
    }
}

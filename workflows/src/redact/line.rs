//! The part of a line that a search looks at.
//!
//! Law: an expression looks at no more than a window, and a line's end is looked for once, so that a line of any length
//! takes time in proportion to it.

/// How much of a line an expression looks at.
pub(super) const WINDOW_BYTES: usize = 16 * 1024;

#[cfg(test)]
thread_local! {
    /// How many bytes this thread looked at for the ends of lines and runs.
    pub(super) static BYTES_READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The rest of the line, without its end, and whether that is all of it; `None` where its end may still come.
pub(super) fn line_from(text: &[u8], start: usize, is_last: bool) -> Option<(&[u8], bool)> {
    LineEnds::default().line_from(text, start, is_last)
}

/// How far a text was searched for the end of a line.
#[derive(Debug, Default)]
pub(super) struct LineEnds {
    /// No line ends from the first to before the second.
    searched: (usize, usize),
}

impl LineEnds {
    /// As [`line_from`]; places are asked for in their order.
    pub(super) fn line_from<'a>(
        &mut self,
        text: &'a [u8],
        start: usize,
        is_last: bool,
    ) -> Option<(&'a [u8], bool)> {
        let to = text.len().min(start + WINDOW_BYTES);
        let (from, known) = self.searched;
        let at = if (from..known).contains(&start) { known.min(to) } else { start };
        let end = text[at..to].iter().position(|byte| *byte == b'\n').map_or(to, |end| at + end);
        #[cfg(test)]
        BYTES_READ.with(|bytes| bytes.set(bytes.get() + end - at));
        self.searched = (start, end.max(at));
        let window = &text[start..end];
        match end < to {
            true => Some((window, true)),
            false if window.len() == WINDOW_BYTES => Some((window, end == text.len() && is_last)),
            false => is_last.then_some((window, true)),
        }
    }
}

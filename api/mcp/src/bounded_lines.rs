//! The lines of a client.
//!
//! Law: no more is in memory than the longest line that is allowed; what is longer is passed over up to its end, and told.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// A line as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientLine {
    /// Its bytes, without its end.
    Whole(Vec<u8>),
    /// It is longer than a line may be.
    TooLong,
}

/// Reads lines. What was read of a line is kept where its reading is broken off.
pub(crate) struct BoundedLines<R> {
    read: BufReader<R>,
    max: usize,
    line: Vec<u8>,
    /// The rest of a line that was too long is passed over.
    is_passing_over: bool,
}

impl<R: AsyncRead + Unpin> BoundedLines<R> {
    pub(crate) fn new(read: R, max: usize) -> Self {
        Self { read: BufReader::new(read), max, line: Vec::new(), is_passing_over: false }
    }

    /// The next line; `None`: the input has ended. A last line needs no line's end.
    pub(crate) async fn next(&mut self) -> io::Result<Option<ClientLine>> {
        loop {
            let read = self.read.fill_buf().await?;
            let is_over = read.is_empty();
            if is_over && self.line.is_empty() {
                return Ok(None);
            }
            // Up to here nothing was taken; from here on nothing waits.
            let end = read.iter().position(|byte| *byte == b'\n');
            let part = &read[..end.unwrap_or(read.len())];
            let is_too_long = !self.is_passing_over && self.line.len() + part.len() > self.max;
            if !self.is_passing_over && !is_too_long {
                self.line.extend_from_slice(part);
            }
            let taken = end.map_or(read.len(), |end| end + 1);
            self.read.consume(taken);
            let was_passing_over = self.is_passing_over;
            self.is_passing_over = (was_passing_over || is_too_long) && end.is_none();
            if is_too_long {
                self.line = Vec::new();
                return Ok(Some(ClientLine::TooLong));
            }
            if !was_passing_over && (end.is_some() || is_over) {
                return Ok(Some(ClientLine::Whole(std::mem::take(&mut self.line))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_that_is_too_long_is_told_once_and_the_next_one_is_whole() {
        let input: &[u8] = b"abc\n\nabcdefghij\nabcde\nabcdefgh";
        let mut lines = BoundedLines::new(input, 5);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        let whole = |text: &str| ClientLine::Whole(text.into());
        assert_eq!(all, [whole("abc"), whole(""), ClientLine::TooLong, whole("abcde"), ClientLine::TooLong]);
        assert_eq!(BoundedLines::new(&b"last"[..], 5).next().await.unwrap(), Some(whole("last")));
    }
}

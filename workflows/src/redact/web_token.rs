//! JSON Web Tokens: three texts in base64url with dots between them, the first two of which begin with `eyJ`.
//!
//! Law: a text is gone through once, however many of its places could begin a token. An expression would read to the
//! end of a run from each of them.

use super::line::WINDOW_BYTES;

const BEGIN: &[u8] = b"eyJ";
/// The shortest of each text behind its beginning.
const REST_BYTES_MIN: usize = 5;

/// What stands at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WebToken {
    No,
    /// More text decides.
    Undecided,
    /// It ends there.
    Until(usize),
    /// It goes on behind the window, which ends there.
    Beyond(usize),
}

/// What is known of the runs of a text's digits: where the last one ends that was read, and the last one that begins no
/// token.
#[derive(Debug, Default)]
pub(super) struct TokenRuns {
    last: Option<(usize, usize)>,
    refused: Option<usize>,
}

impl TokenRuns {
    /// Whether a token begins at `start`; places are asked for in their order.
    pub(super) fn token_at(&mut self, text: &[u8], start: usize, is_last: bool) -> WebToken {
        let window_end = start.saturating_add(WINDOW_BYTES);
        let open = |at: usize| at == text.len() && !is_last && at < window_end;
        if !text[start..].starts_with(BEGIN) {
            return if open(text.len()) && BEGIN.starts_with(&text[start..]) {
                WebToken::Undecided
            } else {
                WebToken::No
            };
        }
        let first = self.end_of_run(text, start);
        if open(first) {
            return WebToken::Undecided;
        }
        let is_too_short = first - start < BEGIN.len() + REST_BYTES_MIN;
        if is_too_short
            || first >= window_end
            || text.get(first) != Some(&b'.')
            || self.refused == Some(first)
        {
            return WebToken::No;
        }
        let found = rest_of_token(text, first + 1, window_end, is_last);
        if found == WebToken::No {
            // The later places of this run have the same texts behind them.
            self.refused = Some(first);
        }
        found
    }

    fn end_of_run(&mut self, text: &[u8], start: usize) -> usize {
        match self.last {
            Some((from, end)) if (from..end).contains(&start) => end,
            _other => {
                let end = start + run(&text[start..]);
                self.last = Some((start, end));
                end
            }
        }
    }
}

/// What stands behind the first dot. A second text that reaches over the window is taken for one of a token.
fn rest_of_token(text: &[u8], second: usize, window_end: usize, is_last: bool) -> WebToken {
    let text = &text[..text.len().min(window_end)];
    let is_cut = text.len() == window_end;
    let begun = &text[second.min(text.len())..];
    if begun.len() < BEGIN.len() && BEGIN.starts_with(begun) {
        return match (is_cut, is_last) {
            (true, _) => WebToken::Beyond(text.len()),
            (false, true) => WebToken::No,
            (false, false) => WebToken::Undecided,
        };
    }
    if !begun.starts_with(BEGIN) {
        return WebToken::No;
    }
    let second_end = second + run(begun);
    if second_end == text.len() {
        return match (is_cut, is_last) {
            (true, _) => WebToken::Beyond(text.len()),
            (false, true) => WebToken::No,
            (false, false) => WebToken::Undecided,
        };
    }
    if second_end - second < BEGIN.len() + REST_BYTES_MIN || text[second_end] != b'.' {
        return WebToken::No;
    }
    let third = second_end + 1;
    let end = third + run(&text[third..]);
    match (end == text.len(), is_cut, is_last) {
        (true, true, _) => WebToken::Beyond(end),
        (true, false, false) => WebToken::Undecided,
        _ if end - third >= REST_BYTES_MIN => WebToken::Until(end),
        _ => WebToken::No,
    }
}

fn run(text: &[u8]) -> usize {
    let length =
        text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).count();
    #[cfg(test)]
    super::line::BYTES_READ.with(|bytes| bytes.set(bytes.get() + length));
    length
}

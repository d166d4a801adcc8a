//! The patterns of the settings, searched for within lines.
//!
//! Law: a line that is longer than a window is searched in windows that overlap by half, and what was found last
//! decides where the search goes on. So a match of up to half a window is found wherever it stands, in whatever pieces
//! the line comes.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexSet, RegexSetBuilder};

use super::line::{WINDOW_BYTES, line_from};
use super::settings::compiled;

const HALF_BYTES: usize = WINDOW_BYTES / 2;
/// What was masked before.
const MARK: &[u8] = b"***";

/// Patterns by name; they are compiled for the first text.
pub(super) struct OwnPatterns {
    texts: Vec<(String, String)>,
    compiled: OnceLock<Option<(RegexSet, Vec<Regex>)>>,
}

impl OwnPatterns {
    pub(super) fn new(texts: Vec<(String, String)>) -> Self {
        Self { texts, compiled: OnceLock::new() }
    }

    /// The name of a pattern, by number.
    pub(super) fn name_of(&self, number: usize) -> Option<&str> {
        self.texts.get(number).map(|(name, _)| name.as_str())
    }

    /// Gives each match to `found`, as start, end and the pattern's number; the result is the place up to which it is
    /// decided.
    pub(super) fn collect(
        &self,
        text: &[u8],
        from: usize,
        is_last: bool,
        mut found: impl FnMut(usize, usize, usize),
    ) -> usize {
        if self.texts.is_empty() {
            return text.len();
        }
        let Some((set, regexes)) = self.compiled.get_or_init(|| self.compile()) else { return text.len() };
        let mut at = from;
        // By pattern: where its last match ended.
        let mut ends = vec![from; regexes.len()];
        while at < text.len() {
            let Some((line, is_whole)) = line_from(text, at, is_last) else { return at };
            let reach = if is_whole { line.len() } else { HALF_BYTES };
            let (origin, to) = (at - behind(text, at), at + line.len());
            let window = &text[origin..to];
            for number in set.matches(window) {
                let mut next = ends[number].max(at);
                while next < at + reach {
                    let Some(one) = regexes[number].find_at(window, next - origin) else { break };
                    let (start, mut end) = (origin + one.start(), origin + one.end());
                    if start >= at + reach {
                        break;
                    }
                    if !is_whole && end == to {
                        // How far it reaches depends on where it begins, not on this window.
                        let Some(longer) = end_from(&regexes[number], text, start, is_last) else {
                            return start;
                        };
                        end = longer.max(end);
                    }
                    if end > start && &text[start..end] != MARK {
                        found(start, end, number);
                    }
                    next = end.max(start + 1);
                }
                ends[number] = next;
            }
            at += if is_whole { line.len() + 1 } else { HALF_BYTES };
        }
        text.len()
    }

    /// The settings were checked: each of them compiles.
    fn compile(&self) -> Option<(RegexSet, Vec<Regex>)> {
        const SET_BYTES_MAX: usize = 32 * 1024 * 1024;
        let patterns = self.texts.iter().map(|(_, pattern)| pattern);
        let set = RegexSetBuilder::new(patterns).size_limit(SET_BYTES_MAX).build().ok()?;
        let regexes: Result<Vec<Regex>, String> =
            self.texts.iter().map(|(_, pattern)| compiled(pattern)).collect();
        Some((set, regexes.ok()?))
    }
}

/// How many bytes of the same line an expression sees before a place, so that it knows whether a word begins there.
fn behind(text: &[u8], at: usize) -> usize {
    usize::from(at > 0 && text[at - 1] != b'\n')
}

/// Where a match that begins at a place ends, in a window of its own; `None` where more may come.
fn end_from(regex: &Regex, text: &[u8], start: usize, is_last: bool) -> Option<usize> {
    let (line, _) = line_from(text, start, is_last)?;
    let behind = behind(text, start);
    let window = &text[start - behind..start + line.len()];
    let end = regex.find_at(window, behind).filter(|one| one.start() == behind).map_or(0, |one| one.end());
    Some((start - behind) + end)
}

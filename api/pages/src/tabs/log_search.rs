//! A text that is looked for in a whole log, however long it is.

use super::ansi::{StyledPiece, Terminal};
use super::log_lines::each_record;
use super::log_place::AttemptFact;
use crate::frame::Visit;
use crate::problem::Problem;

/// Lines that are found for one page.
const FOUND_MAX: usize = 200;
/// Bytes of a log that one search reads.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// A line that has the text.
#[derive(Debug)]
pub(crate) struct FoundLine {
    pub(crate) line: u64,
    pub(crate) pieces: Vec<StyledPiece>,
}

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct FoundLines {
    pub(crate) lines: Vec<FoundLine>,
    /// Up to which line was looked, where there is more.
    pub(crate) until: Option<u64>,
}

/// Looks for a text behind a line; upper and lower case are the same.
pub(crate) async fn search(
    visit: &Visit,
    run: &str,
    attempt: &AttemptFact,
    text: &str,
    behind: u64,
) -> Result<FoundLines, Problem> {
    let wanted = text.to_lowercase();
    let (mut found, mut bytes, mut last) = (FoundLines::default(), 0, behind);
    let mut terminal = Terminal::default();
    let is_whole = each_record(visit, run, attempt, Some(behind), |record| {
        if found.lines.len() == FOUND_MAX || bytes > BYTES_MAX {
            return false;
        }
        (bytes, last) = (bytes + record.text.len(), record.line);
        if record.text.to_lowercase().contains(&wanted) {
            found.lines.push(FoundLine { line: record.line, pieces: terminal.pieces(&record.text) });
        }
        true
    })
    .await?;
    if !is_whole {
        found.until = Some(last);
    }
    Ok(found)
}

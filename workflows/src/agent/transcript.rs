//! What the formats of agents' output have in common.

use everfold_base::json::Value;
use everfold_ports::Usage;

/// What a stream of events said.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    /// The answer.
    pub(super) text: Option<String>,
    /// The answer as a value, where the program checked it itself.
    pub(super) structured: Option<Value>,
    /// What the program says went wrong.
    pub(super) error: Option<String>,
    /// Whether the stream came to its end.
    pub(super) complete: bool,
    pub(super) usage: Vec<Usage>,
    /// The program's own session.
    pub(super) session: Option<String>,
}

/// The first line of a text that says something, cut.
pub(super) fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    line.chars().take(CHARS_MAX).collect()
}

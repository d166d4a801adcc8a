//! Why something is so, as lines: each cause with its time and the event that shows it, what led to it below.

use everfold_engine::time::Timestamp;
use everfold_engine::why::{CauseKind, CauseNode};
use owo_colors::OwoColorize as _;

use crate::text::{instant, plain, span};

/// The causes, deeper ones indented, in as many columns as there are.
pub(in crate::cli) fn cause_lines(
    causes: &[CauseNode],
    depth: usize,
    now: Timestamp,
    within: Option<usize>,
    lines: &mut Vec<String>,
) {
    for cause in causes {
        let indent = "  ".repeat(depth);
        let before = if depth > 1 { "because " } else { "" };
        let line = format!("{indent}{before}{}{}", plain(&cause.sentence), when(cause, now));
        lines.push(wrapped(&line, &indent, within));
        cause_lines(&cause.because, depth + 1, now, within, lines);
    }
}

/// Since when and until when, and the event that shows it.
fn when(cause: &CauseNode, now: Timestamp) -> String {
    let mut parts = String::new();
    if let Some(since) = cause.since.filter(|_| cause.kind != CauseKind::Condition) {
        let ended = matches!(
            cause.kind,
            CauseKind::Ended
                | CauseKind::Verdict
                | CauseKind::Attempt
                | CauseKind::Rework
                | CauseKind::Skipped
                | CauseKind::Succeeded
                | CauseKind::Failed
        );
        let word = if ended { "at" } else { "since" };
        parts.push_str(&format!(", {word} {}", instant(since)));
        if !ended && now > since {
            parts.push_str(&format!(" ({})", span(now.since(since))));
        }
    }
    if let Some(until) = cause.until {
        let left =
            if until > now { format!(" (in {})", span(until.since(now))) } else { " (due)".to_owned() };
        parts.push_str(&format!(", until {}{left}", instant(until)));
    }
    if let Some(evidence) = &cause.evidence {
        let event = format!(" [{} {}]", evidence.event, evidence.version);
        parts.push_str(&event.dimmed().to_string());
    }
    parts
}

/// A line in as many as the terminal has room for.
fn wrapped(line: &str, indent: &str, within: Option<usize>) -> String {
    let Some(within) = within.filter(|within| line.len() > *within) else { return line.to_owned() };
    let options = textwrap::Options::new(within)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let indent = format!("{indent}    ");
    textwrap::fill(line, options.subsequent_indent(&indent))
}

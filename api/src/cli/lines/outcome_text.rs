//! What a trigger led to, in one line: for deliveries and schedules.

use crate::node::OutcomeView;

/// An outcome in one line.
pub(in crate::cli) fn outcome_line(outcome: &OutcomeView) -> String {
    let of = match (&outcome.pipeline, outcome.trigger) {
        (Some(pipeline), Some(trigger)) => format!("{pipeline}:{trigger} "),
        _known => String::new(),
    };
    let runs: Vec<String> = outcome.runs.iter().map(|run| run.short()).collect();
    let mut text = format!("{of}{}", outcome.outcome);
    if let Some(signal) = &outcome.signal {
        text.push_str(&format!(" “{signal}”"));
    }
    if !runs.is_empty() {
        text.push_str(&format!(" run {}", runs.join(", ")));
    }
    if let Some(code) = &outcome.code {
        text.push_str(&format!(" [{code}]"));
    }
    if let Some(reason) = &outcome.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}

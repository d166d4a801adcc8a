//! Why the gates of a round said different things in two runs.

use everfold_projections::RoundRow;

use crate::text::{cut, plain};

/// Columns of a message in a cause.
const MESSAGE_COLUMNS: usize = 120;

/// By which gate two rounds are different, and on what it said so.
pub(super) fn gates_cause(from: &RoundRow, to: &RoundRow) -> String {
    for (gate, one) in &from.gates {
        let Some(other) = to.gates.get(gate).filter(|other| other.verdict != one.verdict) else { continue };
        let on = match (one.evidence == other.evidence, one.policy == other.policy) {
            (true, false) => "on the same evidence, by another policy",
            (true, true) => "on the same evidence and by the same policy, as other values of the run were",
            (false, true) => "on other evidence",
            (false, false) => "on other evidence, by another policy",
        };
        let (was, is) = (one.verdict.as_str(), other.verdict.as_str());
        // A verdict that stops a step says more than one that passes.
        let why = if is == "pass" { &one.reason } else { &other.reason };
        let why = if why.is_empty() { String::new() } else { format!(": {}", shortened(why)) };
        return format!("the gate {gate} said {was} in the first run and {is} in the second, {on}{why}");
    }
    let asked = |one: &RoundRow, other: &RoundRow| {
        one.gates.keys().find(|gate| !other.gates.contains_key(*gate)).cloned()
    };
    match (asked(from, to), asked(to, from)) {
        (Some(gate), _) => format!("only the first run asked the gate {gate}"),
        (None, Some(gate)) => format!("only the second run asked the gate {gate}"),
        (None, None) => "their gates said different things".to_owned(),
    }
}

/// A message as a cause has it.
pub(super) fn shortened(text: &str) -> String {
    cut(&plain(text), MESSAGE_COLUMNS)
}

//! What the pipeline as it is saved today would decide on the input of a version, in words.

use serde_json::{Value, json};

use crate::node::{Replay, ReplayDefinition};
use crate::text::plain;
use crate::view::ShownEvent;

/// Events of a decision that are shown.
const EVENTS_MAX: usize = 500;

/// The answer of the route as lines: what stands at the margin is a head.
pub(super) fn today_lines(replay: &Replay) -> Vec<String> {
    let Some(by) = &replay.definition else { return vec!["the answer names no definition".to_owned()] };
    let name = plain(&named(by));
    let mut lines = Vec::new();
    match replay.differences.first() {
        None if by.pinned => {
            lines.push("Today's definition is the one that this was decided with".to_owned());
            lines.push(format!("  {name} was not changed since: there is nothing to compare."));
            return lines;
        }
        None => lines.push(format!("{name} would decide the same here")),
        Some(first) if first.misfits.is_empty() => {
            lines.push(format!("{name} would decide otherwise here"));
            lines.push(format!("  {}", plain(&first.message)));
        }
        Some(first) => {
            lines.push(format!("{name} does not fit here"));
            lines.push(format!("  {}", plain(&first.message)));
            lines.push(
                "  What has begun must be in the definition, so nothing can be decided by it here."
                    .to_owned(),
            );
        }
    }
    if let Some(decision) = &replay.decision {
        let parts = [
            ("Recorded", &decision.recorded),
            ("Would have begun before this input", &decision.ahead),
            ("Today's", &decision.decided),
        ];
        for (head, events) in parts.iter().filter(|(head, events)| !events.is_empty() || *head == "Today's") {
            lines.push((*head).to_owned());
            lines.extend(events.iter().take(EVENTS_MAX).map(|event| format!("  {}", event_text(event))));
            if events.is_empty() {
                lines.push("  nothing".to_owned());
            }
        }
    }
    lines.push("Nothing is recorded.".to_owned());
    lines
}

fn named(by: &ReplayDefinition) -> String {
    match by.version {
        Some(version) => format!("{}@{version}", by.name),
        None => by.name.clone(),
    }
}

/// An event that has neither version nor time.
fn event_text(event: &Value) -> String {
    let whole = json!({ "event": event });
    let shown = ShownEvent(&whole);
    let texts = [shown.name().to_owned(), shown.place(), shown.detail()];
    let words: Vec<String> = texts.iter().filter(|text| !text.is_empty()).map(|text| plain(text)).collect();
    words.join(" ")
}

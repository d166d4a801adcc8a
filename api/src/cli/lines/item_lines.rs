//! Plain lines of a `foreach` with many items: counts in place of a line for each item.
//!
//! Law: what went wrong is printed, up to a bound; what goes as it should is counted.

use std::collections::BTreeMap;

use everfold_engine::event::RunEvent;
use everfold_engine::policy::Verdict;

use crate::view::RunView;

/// Items of a step whose lines are printed one by one.
const ONE_BY_ONE_MAX: usize = 20;
/// Lines about items of a step that did not go as they should; further ones are only counted.
const TROUBLE_MAX: usize = 20;
/// The count is printed each time that a further one of so many parts of the items has ended.
const PARTS: usize = 10;

/// The steps whose items are counted.
#[derive(Default)]
pub(in crate::cli) struct ItemLines {
    steps: BTreeMap<String, CountedItems>,
}

/// The items of one round of a step.
#[derive(Default)]
struct CountedItems {
    /// Parts of the items whose end was printed.
    parts: usize,
    /// Lines about items that did not go as they should.
    trouble: usize,
}

/// What is printed of a line about an item.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum ItemLine {
    /// The line as it is.
    Whole,
    /// The line, and that further ones of this step are only counted.
    Last,
    /// Nothing.
    Counted,
}

impl ItemLines {
    /// The steps of a run that was seen before and goes on.
    pub(in crate::cli) fn of(seen: Option<&RunView>) -> Self {
        let mut lines = Self::default();
        for step in seen.iter().flat_map(|seen| &seen.steps) {
            let Some(items) = step.items.as_ref().filter(|items| items.total > ONE_BY_ONE_MAX) else {
                continue;
            };
            let counted = CountedItems { parts: parts(items.ended, items.total), trouble: 0 };
            lines.steps.insert(step.id.clone(), counted);
        }
        lines
    }

    /// Takes an event before its line; gives how many items a step begins where they are counted from now on.
    pub(in crate::cli) fn expanded(&mut self, event: &RunEvent) -> Option<(String, String)> {
        let RunEvent::ItemsExpanded(expanded) = event else { return None };
        let (step, total) = (expanded.step.to_string(), expanded.items.len());
        self.steps.remove(&step);
        if total <= ONE_BY_ONE_MAX {
            return None;
        }
        self.steps.insert(step.clone(), CountedItems::default());
        Some((step, format!("{total} items begin")))
    }

    /// The counts that it is time to print: of which step, and in words.
    pub(in crate::cli) fn counts(&mut self, view: &RunView) -> Vec<(String, String)> {
        let mut counts = Vec::new();
        for step in &view.steps {
            let (Some(items), Some(counted)) = (&step.items, self.steps.get_mut(&step.id)) else { continue };
            counts.extend(
                counted.count(items.ended, items.total, items.failed).map(|words| (step.id.clone(), words)),
            );
        }
        counts
    }

    /// What is printed of the line of an event about a place.
    pub(in crate::cli) fn line(&mut self, event: &RunEvent, place: &str, word: &str) -> ItemLine {
        let counted = item_of(place).and_then(|(step, _)| self.steps.get_mut(step));
        let Some(counted) = counted else { return ItemLine::Whole };
        let is_usual = match event {
            RunEvent::GateEvaluated(gate) => matches!(gate.verdict, Verdict::Pass | Verdict::Skipped),
            _other => matches!(word, "begins" | "kept" | "succeeded" | "skipped"),
        };
        if is_usual {
            return ItemLine::Counted;
        }
        counted.trouble += 1;
        match counted.trouble {
            ..TROUBLE_MAX => ItemLine::Whole,
            TROUBLE_MAX => ItemLine::Last,
            _more => ItemLine::Counted,
        }
    }
}

impl CountedItems {
    /// The count, where a further part of the items has ended.
    fn count(&mut self, ended: usize, total: usize, failed: u32) -> Option<String> {
        let parts = parts(ended, total);
        if parts <= self.parts {
            return None;
        }
        self.parts = parts;
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        Some(format!("{ended} of {total} items ended{failed}"))
    }
}

fn parts(ended: usize, total: usize) -> usize {
    ended * PARTS / total.max(1)
}

/// The step and the number of the item that a place names: `each.12 1.1`.
fn item_of(place: &str) -> Option<(&str, &str)> {
    place.split(' ').next()?.split_once('.')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::view::ShownEvent;

    /// The lines that the events of a step with so many items give; every seventh fails.
    fn lines(total: usize) -> Vec<String> {
        let mut items = ItemLines::default();
        let mut printed = Vec::new();
        let mut take = |event: Value, word: &str| {
            let event = json!({ "event": event });
            let shown = ShownEvent(&event);
            let (place, event) = (shown.place(), shown.event().unwrap());
            printed.extend(items.expanded(&event).map(|(step, words)| format!("{step} {words}")));
            if !word.is_empty() && items.line(&event, &place, word) != ItemLine::Counted {
                printed.push(format!("{place} {word}"));
            }
        };
        let payloads: Vec<Value> = (0..total).map(|at| json!(at)).collect();
        take(
            json!({"type": "ItemsExpanded", "step": "each", "round": 1, "items": payloads, "max_in_flight": null}),
            "",
        );
        for at in 0..total {
            let id = json!({"path": {"step": "each", "item": at}, "round": 1, "attempt": 1});
            take(json!({"type": "StepScheduled", "id": id, "work": "gates"}), "begins");
            if at % 7 == 6 {
                take(json!({"type": "FundsRequested", "id": id}), "failed");
            }
        }
        printed
    }

    #[test]
    fn the_items_of_a_short_list_have_a_line_each() {
        assert_eq!(lines(3), ["each.0 1.1 begins", "each.1 1.1 begins", "each.2 1.1 begins"]);
    }

    #[test]
    fn of_many_items_those_that_fail_are_named_up_to_a_bound() {
        let lines = lines(5_000);
        assert_eq!(lines[0], "each 5000 items begin");
        assert_eq!(lines[1], "each.6 1.1 failed");
        assert_eq!(lines.len(), 1 + TROUBLE_MAX);
    }

    #[test]
    fn a_count_is_printed_for_each_tenth_of_the_items() {
        let mut counted = CountedItems::default();
        let printed: Vec<String> = (0..=5_000).filter_map(|ended| counted.count(ended, 5_000, 0)).collect();
        assert_eq!(printed.len(), PARTS);
        assert_eq!(printed[0], "500 of 5000 items ended");
        assert_eq!(counted.count(5_000, 5_000, 3), None);
        assert_eq!(
            CountedItems::default().count(21, 21, 3).as_deref(),
            Some("21 of 21 items ended, 3 failed")
        );
    }
}

//! The events around the version on the screen: a bounded part of the history.
//!
//! Law: however long a history is, at most [`LINES_MAX`] of its events are kept, and parts of it are asked for as they
//! are needed.

use std::collections::BTreeMap;

use everfold_pages::EventNature;
use serde_json::Value;

use super::requests::DebugRequest;
use crate::text::plain;
use crate::view::ShownEvent;

/// Events that are kept.
const LINES_MAX: usize = 400;
/// Events that are wanted on each side of the version: what ordered it is among them, but for long waits.
const BESIDE: u64 = 60;
/// Events that are asked for at once beyond these.
const PART: u64 = 100;

/// An event as a line of the list.
#[derive(Debug, Clone)]
pub(super) struct EventLine {
    pub(super) version: u64,
    /// RFC 3339.
    pub(super) at: String,
    pub(super) kind: String,
    pub(super) place: String,
    /// What it says beyond its name and place.
    pub(super) detail: String,
    pub(super) nature: EventNature,
    pub(super) value: Value,
}

impl EventLine {
    pub(super) fn of(value: Value) -> Self {
        let shown = ShownEvent(&value);
        let actor = match shown.actor() {
            "engine" => String::new(),
            other => format!("  ({other})"),
        };
        Self {
            version: shown.version(),
            at: plain(shown.at()),
            kind: plain(shown.name()),
            place: plain(&shown.place()),
            detail: plain(format!("{}{actor}", shown.detail()).trim()),
            nature: EventNature::of(&value),
            value,
        }
    }
}

/// The events around a version.
#[derive(Debug, Default)]
pub(super) struct EventWindow {
    lines: BTreeMap<u64, EventLine>,
}

impl EventWindow {
    /// Takes events in; those that are farthest from `version` go.
    pub(super) fn add(&mut self, items: Vec<Value>, version: u64) {
        for line in items.into_iter().map(EventLine::of) {
            self.lines.insert(line.version, line);
        }
        while self.lines.len() > LINES_MAX {
            let distance = |end: Option<&u64>| end.map_or(0, |end| end.abs_diff(version));
            let (first, last) = (distance(self.lines.keys().next()), distance(self.lines.keys().next_back()));
            let _farthest = if first > last { self.lines.pop_first() } else { self.lines.pop_last() };
        }
    }

    pub(super) fn get(&self, version: u64) -> Option<&EventLine> {
        self.lines.get(&version)
    }

    /// The events that are here of a range, in order.
    pub(super) fn between(&self, first: u64, last: u64) -> impl Iterator<Item = &EventLine> {
        let last = last.max(first);
        self.lines.range(first..=last).map(|(_, line)| line)
    }

    /// The next part of the history that is wanted around a version; none: all is here.
    pub(super) fn missing(&self, version: u64, last: u64) -> Option<DebugRequest> {
        let (low, high) = (version.saturating_sub(BESIDE).max(1), (version + BESIDE).min(last));
        if version == 0 || low > high {
            return None;
        }
        let is_missing = |one: &u64| !self.lines.contains_key(one);
        if is_missing(&version) {
            return Some(DebugRequest::Events { from: low, limit: high - low + 1 });
        }
        if let Some(end) = (low..version).rev().find(is_missing) {
            // A part may end early, where events are large: what came of it is not asked for again.
            let from = (end.saturating_sub(PART - 1).max(1)..=end).find(is_missing)?;
            return Some(DebugRequest::Events { from, limit: end - from + 1 });
        }
        let from = (version..=high).find(is_missing)?;
        Some(DebugRequest::Events { from, limit: PART })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events(from: u64, limit: u64) -> Vec<Value> {
        (from..from + limit)
            .map(|version| json!({ "version": version, "event": { "type": "ClockRead" } }))
            .collect()
    }

    #[test]
    fn a_walk_through_a_long_history_keeps_a_bounded_part_and_asks_for_parts() {
        let (mut window, last, mut asked) = (EventWindow::default(), 1_000_000, 0);
        for version in (1..2_000).chain((500_000..501_000).rev()) {
            while let Some(DebugRequest::Events { from, limit }) = window.missing(version, last) {
                asked += 1;
                window.add(events(from, limit), version);
            }
            assert!(window.get(version).is_some() && window.len() <= LINES_MAX);
        }
        assert!(asked < 60, "{asked} parts");
    }

    #[test]
    fn a_part_that_ends_early_is_gone_on_behind() {
        let mut window = EventWindow::default();
        window.add(events(300, 1), 300);
        let mut asked = 0;
        while let Some(DebugRequest::Events { from, limit }) = window.missing(300, 300) {
            window.add(events(from, limit.min(7)), 300);
            asked += 1;
            assert!(asked < 40);
        }
        assert!(window.between(240, 300).count() == 61);
    }
}

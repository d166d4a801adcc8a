//! The items of a `foreach`: what they are called, how they stand, and the part of them that a panel lists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::event::Event;
use super::facts::{RunFacts, StepFacts};
use super::spans::AttemptFacts;
use crate::visible::visible;

/// Items on a page of a panel.
pub(crate) const ITEMS_PER_PAGE: usize = 20;
/// The longest name of an item, in characters.
const NAME_MAX: usize = 48;
/// The fields by which people call things, the most telling first.
const NAMING: [&str; 9] = ["name", "title", "label", "id", "key", "path", "file", "url", "number"];

/// What the items of each step are called.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemNames(BTreeMap<String, Vec<String>>);

impl ItemNames {
    /// The names that events tell; those of the newest round.
    pub(crate) fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut names = BTreeMap::new();
        for event in events.into_iter().filter(|event| event.kind() == "ItemsExpanded") {
            if let (Some(place), Some(items)) = (event.place(), event.at("/items").as_array()) {
                names.insert(place.path, items.iter().enumerate().map(|(at, it)| name(at, it)).collect());
            }
        }
        Self(names)
    }

    /// Whether the items of a step have names here.
    pub(crate) fn knows(&self, step: &str) -> bool {
        self.0.contains_key(step)
    }

    /// What an item is called: that of `each.3`.
    pub(crate) fn of_path(&self, path: &str) -> Option<&str> {
        let (step, item) = path.split_once('.')?;
        let name = self.0.get(step)?.get(item.parse::<usize>().ok()?)?;
        (!name.is_empty()).then_some(name)
    }
}

/// What people would call an item by its value; empty where that says no more than its number.
fn name(at: usize, value: &Value) -> String {
    let name = item_name(value);
    if name == at.to_string() { String::new() } else { name }
}

/// What people would call an item by its value; empty where that says nothing.
pub(crate) fn item_name(value: &Value) -> String {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let text = match value {
        Value::Null => String::new(),
        Value::Object(fields) => NAMING
            .into_iter()
            .filter_map(|field| fields.get(field))
            .chain(fields.values())
            .find_map(scalar)
            .unwrap_or_else(|| value.to_string()),
        value => scalar(value).unwrap_or_else(|| value.to_string()),
    };
    let line = visible(text.lines().next().unwrap_or_default()).into_owned();
    match line.char_indices().nth(NAME_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Whether the address names a step of the run, or an item that the step has.
pub(crate) fn exists(run: &RunFacts, path: &str) -> bool {
    let Some(step) = run.step(path) else { return false };
    match path.split_once('.') {
        None => true,
        Some((_, item)) => match (&step.items, item.parse::<u64>()) {
            (Some(items), Ok(number)) => number < items.total && number.to_string() == item,
            _no_items => false,
        },
    }
}

/// An item in its place of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FanOutRow {
    pub(crate) number: u64,
    /// Its newest attempt, by its place in the attempts; none before the first.
    pub(crate) attempt: Option<usize>,
    /// A word of `words::glyph`.
    pub(crate) state: &'static str,
}

/// What the address asks of the list: items in one state, and the page.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemsAsked {
    pub(crate) state: Option<String>,
    /// From 1 on.
    pub(crate) page: usize,
}

/// The items of a step, as far as a panel lists them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemList {
    pub(crate) rows: Vec<FanOutRow>,
    /// How many are in each state, the gravest first.
    pub(crate) counts: Vec<(&'static str, usize)>,
    /// The state that is listed; none: all.
    pub(crate) state: Option<&'static str>,
    /// From 1 on.
    pub(crate) page: usize,
    /// How many there are in the listed state.
    pub(crate) total: usize,
}

/// The states of items, the gravest first.
const STATES: [&str; 10] = [
    "failed",
    "blocked",
    "waiting",
    "running",
    "queued",
    "pending",
    "interrupted",
    "cancelled",
    "skipped",
    "succeeded",
];

impl ItemList {
    /// The asked part. Of all: what failed first, then what goes on, then what took longest; of one state by number.
    pub(crate) fn of(
        run: &RunFacts,
        step: &StepFacts,
        attempts: &[AttemptFacts],
        events: &[Event],
        asked: &ItemsAsked,
        now: i64,
    ) -> Self {
        let mut rows = rows(run, step, attempts, events);
        let count = |state: &'static str| (state, rows.iter().filter(|row| row.state == state).count());
        let counts: Vec<_> = STATES.into_iter().map(count).filter(|(_, count)| *count > 0).collect();
        let state = STATES.into_iter().find(|state| asked.state.as_deref() == Some(state));
        if let Some(state) = state {
            rows.retain(|row| row.state == state);
        } else {
            let rank = |row: &FanOutRow| STATES.iter().position(|state| *state == row.state);
            let took = |row: &FanOutRow| {
                row.attempt.and_then(|at| attempts.get(at)).map_or(0, |attempt| attempt.took_ms(now))
            };
            rows.sort_by_key(|row| (rank(row), -took(row), row.number));
        }
        let total = rows.len();
        let page = asked.page.clamp(1, total.div_ceil(ITEMS_PER_PAGE).max(1));
        let rows = rows.into_iter().skip((page - 1) * ITEMS_PER_PAGE).take(ITEMS_PER_PAGE).collect();
        Self { rows, counts, state, page, total }
    }

    /// How many pages there are.
    pub(crate) fn pages(&self) -> usize {
        self.total.div_ceil(ITEMS_PER_PAGE)
    }

    /// The numbers of the first and the last that are listed.
    pub(crate) fn first(&self) -> usize {
        (self.page.max(1) - 1) * ITEMS_PER_PAGE + 1
    }

    pub(crate) fn last(&self) -> usize {
        self.first() + self.rows.len().saturating_sub(1)
    }
}

/// All items of a step's newest round, with how they stand.
fn rows(run: &RunFacts, step: &StepFacts, attempts: &[AttemptFacts], events: &[Event]) -> Vec<FanOutRow> {
    let total = step.items.map_or(0, |items| items.total);
    let mut newest: BTreeMap<u64, usize> = BTreeMap::new();
    for (at, attempt) in attempts.iter().enumerate() {
        let Some((base, item)) = attempt.step.split_once('.') else { continue };
        if let (true, true, Ok(number)) = (base == step.id, attempt.round == step.round, item.parse()) {
            newest.insert(number, at);
        }
    }
    let ends = ends(step, events);
    let state = |number: u64, attempt: Option<usize>| {
        state_of(run, &format!("{}.{number}", step.id), attempt.and_then(|at| attempts.get(at)), &ends)
    };
    (0..total)
        .map(|number| {
            let attempt = newest.get(&number).copied();
            FanOutRow { number, attempt, state: state(number, attempt) }
        })
        .collect()
}

type Ends = BTreeMap<String, &'static str>;

/// How items of the newest round ended, as far as events tell.
fn ends(step: &StepFacts, events: &[Event]) -> Ends {
    let mut ends = Ends::new();
    for event in events {
        let state = match event.kind() {
            // What ended before belongs to another round, or to the run that this one goes on from.
            "ItemsExpanded" if event.place().is_some_and(|place| place.path == step.id) => {
                ends.clear();
                continue;
            }
            "StepSucceeded" => "succeeded",
            "StepFailed" => "failed",
            "StepSkipped" => "skipped",
            "StepCancelled" => "cancelled",
            _other => continue,
        };
        let Some(place) = event.place().filter(|place| place.is_item() && place.step() == step.id) else {
            continue;
        };
        if place.round == u64::from(step.round) {
            ends.insert(place.path, state);
        }
    }
    ends
}

/// How one item stands.
fn state_of(run: &RunFacts, path: &str, newest: Option<&AttemptFacts>, ends: &Ends) -> &'static str {
    if let Some(end) = ends.get(path) {
        return end;
    }
    let mut waits = run.awaits.iter().filter(|awaited| awaited.step == path).map(|it| it.kind.as_str());
    if let Some(kind) = waits.find(|kind| matches!(*kind, "unblock" | "approval" | "question")) {
        return if kind == "unblock" { "blocked" } else { "waiting" };
    }
    newest.map_or("pending", AttemptFacts::state)
}

/// How the item of a panel stands.
pub(crate) fn item_state(
    run: &RunFacts,
    step: &StepFacts,
    path: &str,
    newest: Option<&AttemptFacts>,
    events: &[Event],
) -> &'static str {
    state_of(run, path, newest, &ends(step, events))
}

/// The steps whose items have no names yet.
pub(crate) fn unnamed<'a>(run: &'a RunFacts, names: &ItemNames) -> BTreeSet<&'a str> {
    let steps = run.steps.iter().filter(|step| step.items.is_some_and(|items| items.total > 0));
    steps.map(|step| step.id.as_str()).filter(|id| !names.knows(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::facts::ItemsFacts;
    use super::super::spans::AttemptEnd;
    use super::*;
    use serde::Deserialize as _;
    use serde_json::json;

    fn run(total: u64) -> RunFacts {
        let items = ItemsFacts { total, ..ItemsFacts::default() };
        let mut run = RunFacts::deserialize(json!({
            "id": "r", "short_id": "r", "pipeline": "many", "title": null, "status": "running", "version": 1,
            "started_by": "user:ada", "started_at": "2026-11-22T15:49:54Z", "ended_at": null,
        }))
        .expect("a run");
        run.steps =
            vec![StepFacts { id: "each".into(), round: 1, items: Some(items), ..StepFacts::default() }];
        run
    }

    fn attempt(item: u64, failed: bool, seconds: u64) -> AttemptFacts {
        AttemptFacts {
            step: format!("each.{item}"),
            round: 1,
            attempt: 1,
            started_at: Some("2026-11-22T15:00:00Z".to_owned()),
            end: Some(AttemptEnd {
                at: format!("2026-11-22T15:00:{seconds:02}Z"),
                failure: failed.then(super::super::facts::FailureFacts::default),
                log: None,
            }),
            ..AttemptFacts::default()
        }
    }

    fn list(run: &RunFacts, attempts: &[AttemptFacts], state: Option<&str>, page: usize) -> ItemList {
        let asked = ItemsAsked { state: state.map(str::to_owned), page };
        ItemList::of(run, &run.steps[0], attempts, &[], &asked, 0)
    }

    #[test]
    fn items_are_called_by_what_tells_them_apart() {
        let values = [
            json!("Ann"),
            json!({"n": 3, "name": "item-0"}),
            json!({"n": 7}),
            json!(3),
            json!([1]),
            json!(null),
        ];
        let names: Vec<String> = values.iter().enumerate().map(|(at, value)| name(at, value)).collect();
        assert_eq!(names, ["Ann", "item-0", "7", "", "[1]", ""]);
    }

    #[test]
    fn the_worst_items_come_first() {
        let attempts = [attempt(0, false, 5), attempt(1, true, 1), attempt(2, false, 9)];
        let found = list(&run(4), &attempts, None, 1);
        let order: Vec<u64> = found.rows.iter().map(|row| row.number).collect();
        assert_eq!(order, [1, 3, 2, 0]);
        assert_eq!(found.counts, [("failed", 1), ("pending", 1), ("succeeded", 2)]);
    }

    #[test]
    fn every_item_can_be_reached_by_its_state_and_page() {
        let attempts: Vec<AttemptFacts> = (0..1000).map(|item| attempt(item, item % 17 == 5, 1)).collect();
        let run = run(1000);
        let failed = list(&run, &attempts, Some("failed"), 3);
        assert_eq!((failed.total, failed.pages(), failed.first(), failed.last()), (59, 3, 41, 59));
        assert_eq!(failed.rows[0].number, 5 + 17 * 40);
        let mut seen: Vec<u64> =
            (1..=50).flat_map(|page| list(&run, &attempts, None, page).rows).map(|row| row.number).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<u64>>());
    }

    #[test]
    fn an_item_that_the_step_does_not_have_is_none() {
        let run = run(3);
        let known = ["each", "each.2", "each.3", "each.x", "each.02", "other"].map(|path| exists(&run, path));
        assert_eq!(known, [true, true, false, false, false, false]);
    }

    #[test]
    fn an_item_whose_gate_failed_failed_though_its_attempt_did_not() {
        let event = Event {
            version: 1,
            recorded_at: String::new(),
            actor: String::new(),
            event: json!({"type": "StepFailed", "path": {"step": "each", "item": 0}, "round": 1}),
        };
        let run = run(1);
        let attempts = [attempt(0, false, 5)];
        let asked = ItemsAsked::default();
        let found = ItemList::of(&run, &run.steps[0], &attempts, &[event], &asked, 0);
        assert_eq!(found.rows[0].state, "failed");
    }

    /// The history of a retry holds that of its origin, with the same rounds.
    #[test]
    fn an_item_that_failed_before_a_retry_stands_as_it_does_now() {
        let event =
            |event: Value| Event { version: 1, recorded_at: String::new(), actor: String::new(), event };
        let events = [
            event(json!({"type": "StepFailed", "path": {"step": "each", "item": 0}, "round": 1})),
            event(json!({"type": "ItemsExpanded", "step": "each", "round": 1, "items": [1]})),
        ];
        let (run, asked) = (run(1), ItemsAsked::default());
        let found = ItemList::of(&run, &run.steps[0], &[attempt(0, false, 5)], &events, &asked, 0);
        assert_eq!(found.rows[0].state, "succeeded");
    }
}

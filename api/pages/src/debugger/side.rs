//! A run of two that are compared: its history up to the shown moment, and what its steps came to.

use serde::Deserialize;
use serde_json::Value;

use super::event::PastEvent;
use super::step::ListAnswer;
use crate::frame::{Visit, with_query};
use crate::problem::Problem;

/// Parts of a run's history that are read, of 1,000 events each.
const PARTS_MAX: usize = 5;
/// Events with which an attempt ends.
const ATTEMPT_ENDS: [&str; 5] =
    ["AttemptSucceeded", "AttemptFailed", "AttemptLost", "AttemptAsked", "ChildFinished"];

/// What is told of a run above its history.
#[derive(Debug, Deserialize)]
pub(super) struct SideFacts {
    pub(super) id: String,
    pub(super) short_id: String,
    pub(super) pipeline: String,
    pub(super) title: Option<String>,
    pub(super) status: String,
    pub(super) version: u64,
    pub(super) started_by: String,
    pub(super) started_at: String,
    pub(super) ended_at: Option<String>,
}

/// A run and what happened to it.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) facts: SideFacts,
    pub(super) view: Value,
    pub(super) events: Vec<PastEvent>,
    /// Whether the history is longer than what was read.
    pub(super) is_cut: bool,
    /// The time of the shown moment; none: now.
    pub(super) then: Option<String>,
}

impl Side {
    /// How long the run took, or took until the shown moment.
    pub(super) fn took(&self) -> String {
        let end = self.facts.ended_at.as_deref().or(self.then.as_deref());
        crate::words::took(&self.facts.started_at, end)
    }

    /// Whether something may still follow.
    pub(super) fn goes_on(&self) -> bool {
        self.facts.ended_at.is_none()
    }

    /// The shown moment, in milliseconds.
    fn moment(&self) -> i64 {
        let then = self.then.as_deref().and_then(crate::words::millis);
        then.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond())
    }
}

/// What a step of one run came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct StepFigures {
    pub(super) status: String,
    pub(super) turns: String,
    pub(super) took: String,
    pub(super) cost: String,
    pub(super) output: Value,
}

/// The history of a run up to the shown moment.
pub(super) async fn side(visit: &Visit, view: Value) -> Result<Side, Problem> {
    let facts = SideFacts::deserialize(&view)
        .map_err(|error| Problem::within(format!("the run cannot be read: {error}")))?;
    let first = format!("/runs/{}/events?limit=1000", facts.id);
    let (mut path, mut events, mut is_cut) = (first.clone(), Vec::new(), true);
    for _ in 0..PARTS_MAX {
        let part: ListAnswer<PastEvent> = visit.rest.get(&path).await?;
        events.extend(part.items.into_iter().filter(|event| event.version <= facts.version));
        let Some(cursor) = part.next_cursor else {
            is_cut = false;
            break;
        };
        path = with_query(&first, "cursor", &cursor);
    }
    Ok(Side { facts, view, events, is_cut, then: visit.then.clone() })
}

/// What a step came to by its events; of the run, where the step has no name.
pub(super) fn figures(side: &Side, step: &str, events: &[PastEvent]) -> StepFigures {
    if step.is_empty() {
        let micros = cost(side, |_| true);
        let took = side.took();
        return StepFigures {
            status: side.facts.status.clone(),
            turns: String::new(),
            took,
            cost: micros,
            output: side.view["output"].clone(),
        };
    }
    let steps = side.view["steps"].as_array();
    let Some(view) = steps.and_then(|steps| steps.iter().find(|known| known["id"] == step)) else {
        return StepFigures::default();
    };
    let number = |field: &str| view[field].as_u64().unwrap_or_default();
    let attempts = events.iter().filter(|event| ATTEMPT_ENDS.contains(&event.kind())).count();
    let turns = match (number("round"), attempts) {
        (0, _) => String::new(),
        (round, 0) => format!("round {round}"),
        (round, attempts) => format!("round {round}, {attempts}×"),
    };
    let is_open = side.goes_on() && view["ended_at"].is_null() && !view["started_at"].is_null();
    let took = took(side, events, is_open);
    let ended = events.iter().rev().find(|event| !event.event["output"].is_null());
    StepFigures {
        status: view["status"].as_str().unwrap_or_default().to_owned(),
        turns,
        took,
        cost: cost(side, |event| event.step() == Some(step)),
        output: ended.map(|event| event.event["output"].clone()).unwrap_or_default(),
    }
}

/// How long a step's events take from the first to the last, or to the shown moment where the step goes on, without the
/// time that lies between a fork and what it copied.
fn took(side: &Side, events: &[PastEvent], is_open: bool) -> String {
    let forked =
        side.events.iter().find(|event| event.kind() == "RunForked").map_or(0, |event| event.version);
    let at = |event: &PastEvent| crate::words::millis(&event.recorded_at).unwrap_or_default();
    let spans = events.windows(2).filter(|pair| !(pair[0].version < forked && forked <= pair[1].version));
    let since = events.last().filter(|_| is_open).map_or(0, |last| (side.moment() - at(last)).max(0));
    if events.is_empty() {
        String::new()
    } else {
        crate::words::duration(spans.map(|pair| at(&pair[1]) - at(&pair[0])).sum::<i64>() + since)
    }
}

/// What the events say was spent, as it is written; empty where that is nothing.
fn cost(side: &Side, is_wanted: impl Fn(&PastEvent) -> bool) -> String {
    let uses = side.events.iter().filter(|event| event.kind() == "UsageRecorded" && is_wanted(event));
    let micros = uses.fold(0_u64, |sum, event| {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let (more, less) = (&event.event["usage"]["cost_micros"], &event.event["less_micros"]);
        sum.saturating_add(number(more)).saturating_sub(number(less))
    });
    if micros == 0 {
        String::new()
    } else {
        crate::words::usd(&format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000))
    }
}

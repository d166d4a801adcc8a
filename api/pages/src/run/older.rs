//! Events that happened before those that the page reads: they are looked up by their time.
//!
//! Law: a lookup costs a handful of small questions, however long the history is.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::event::Event;
use super::head::RunHead;
use super::items::{ItemNames, unnamed};
use crate::frame::Visit;
use crate::problem::Problem;
use crate::words::millis;

/// Events that are read from a moment on.
const WINDOW: u64 = 400;
/// Steps whose items' names are looked up.
const NAMED_STEPS_MAX: usize = 4;

#[derive(Debug, Deserialize)]
struct OlderEvents {
    items: Vec<Event>,
}

/// Events of a run from a version on.
pub(crate) async fn read(visit: &Visit, run: &str, from: u64, count: u64) -> Result<Vec<Event>, Problem> {
    let path = format!("/runs/{run}/events?from={from}&limit={count}");
    Ok(visit.rest.get::<OlderEvents>(&path).await?.items)
}

/// The older events from some moments on, by version; none where the page has all.
async fn since(visit: &Visit, head: &RunHead, events: &[Event], moments: &[&str]) -> Vec<Event> {
    let Some(first) = events.first().map(|event| event.version).filter(|first| *first > 1) else {
        return Vec::new();
    };
    let run = &head.facts.id;
    let mut found = BTreeMap::new();
    for moment in moments.iter().filter_map(|moment| millis(moment)) {
        let Some(from) = version_at(visit, run, first, moment).await else { continue };
        if from >= first || found.contains_key(&from) {
            continue;
        }
        for event in read(visit, run, from, WINDOW.min(first - from)).await.unwrap_or_default() {
            found.insert(event.version, event);
        }
    }
    found.into_values().collect()
}

/// The first version below one that was recorded at a moment or later.
async fn version_at(visit: &Visit, run: &str, below: u64, moment: i64) -> Option<u64> {
    let (mut low, mut high) = (1, below);
    while low < high {
        let middle = low + (high - low) / 2;
        let at =
            read(visit, run, middle, 1).await.ok()?.first().and_then(|event| millis(&event.recorded_at))?;
        if at < moment { low = middle + 1 } else { high = middle }
    }
    Some(low)
}

/// The older events of a step or an item that happened around some moments.
pub(crate) async fn of_path(
    visit: &Visit,
    head: &RunHead,
    events: &[Event],
    path: &str,
    moments: &[&str],
) -> Vec<Event> {
    let mut found = since(visit, head, events, moments).await;
    found.retain(|event| event.place().is_some_and(|place| place.path == path));
    found
}

/// What the items of the run's steps are called.
pub(crate) async fn names(visit: &Visit, head: &RunHead, events: &[Event]) -> ItemNames {
    let names = ItemNames::of(events);
    let missing = unnamed(&head.facts, &names);
    let steps = missing.iter().take(NAMED_STEPS_MAX).filter_map(|id| head.facts.step(id));
    let moments: Vec<&str> = steps.filter_map(|step| step.started_at.as_deref()).collect();
    if moments.is_empty() {
        return names;
    }
    let older = since(visit, head, events, &moments).await;
    ItemNames::of(older.iter().chain(events))
}

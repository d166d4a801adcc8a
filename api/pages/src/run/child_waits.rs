//! The waits of runs that steps started: while such a run waits for people or for a moment, no machine works for the
//! step.
//!
//! Law: at most `RUNS_MAX` runs are read, first those that go on, then the newest, down to `DEPTH_MAX` generations.

use std::cmp::Reverse;
use std::collections::HashSet;

use futures::future::join_all;
use serde::Deserialize;

use super::event::Event;
use super::facts::RunFacts;
use super::head::{RunHead, RunTab};
use super::spans::{Span, of_waits};
use crate::frame::Visit;

/// Runs that are read for it.
const RUNS_MAX: usize = 12;
/// Children, their children, and theirs.
const DEPTH_MAX: usize = 3;
/// The newest events of each that are looked at.
const EVENTS_MAX: u64 = 500;

/// A run, and the attempt of the shown run that it works for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Descendant {
    id: String,
    path: String,
    instance: String,
}

#[derive(Debug, Deserialize)]
struct EventsRead {
    items: Vec<Event>,
}

/// The waits of the runs that these events started, as waits of the steps that started them.
pub(crate) async fn of_children(visit: &Visit, events: &[Event]) -> Vec<Span> {
    let (mut spans, mut left) = (Vec::new(), RUNS_MAX);
    let mut runs = started(events, None);
    for _generation in 0..DEPTH_MAX {
        runs.truncate(left);
        left -= runs.len();
        let loaded = join_all(runs.iter().map(|run| load(visit, &run.id))).await;
        let mut next = Vec::new();
        for (run, loaded) in runs.iter().zip(loaded) {
            // What cannot be read adds nothing.
            let Some((facts, events)) = loaded else { continue };
            spans.extend(of_run(run, &facts, &events));
            next.extend(started(&events, Some(run)));
        }
        runs = next;
    }
    spans
}

/// The runs that these events started, first those that go on, then the newest; of a descendant all are for its attempt.
fn started(events: &[Event], of: Option<&Descendant>) -> Vec<Descendant> {
    let ended: HashSet<&str> =
        events.iter().filter(|it| it.kind() == "ChildFinished").map(|it| it.text("child")).collect();
    let mut begun: Vec<&Event> = events.iter().filter(|it| it.kind() == "ChildStarted").collect();
    begun.sort_by_key(|it| (ended.contains(it.text("child")), Reverse(it.version)));
    let named = |event: &Event| {
        let place = event.place()?;
        let instance = format!("{}.{}", place.round, place.attempt);
        let (path, instance) = of.map_or((place.path, instance), |of| (of.path.clone(), of.instance.clone()));
        Some(Descendant { id: event.text("child").to_owned(), path, instance })
    };
    begun.into_iter().filter_map(named).collect()
}

/// A run and its newest events, at the shown moment.
async fn load(visit: &Visit, id: &str) -> Option<(RunFacts, Vec<Event>)> {
    let run = RunHead::load(visit, id, RunTab::Overview).await.ok()?.facts;
    let from = run.version.saturating_sub(EVENTS_MAX - 1).max(1);
    let path = format!("/runs/{}/events?from={from}&limit={EVENTS_MAX}", run.id);
    let mut events = visit.rest.get::<EventsRead>(&path).await.ok()?.items;
    events.retain(|event| event.version <= run.version);
    Some((run, events))
}

fn of_run(run: &Descendant, facts: &RunFacts, events: &[Event]) -> Vec<Span> {
    let own = |span: Span| Span { path: run.path.clone(), instance: run.instance.clone(), ..span };
    of_waits(events, facts).into_iter().map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::spans::SpanKind;
    use serde_json::{Value, json};

    fn event(version: u64, event: Value) -> Event {
        let recorded_at = format!("1970-01-01T00:00:{version:02}Z");
        Event { version, recorded_at, actor: "engine".to_owned(), event }
    }

    fn child(version: u64, kind: &str, item: u64, child: &str) -> Event {
        let id = json!({"path": {"step": "each", "item": item}, "round": 1, "attempt": 2});
        event(version, json!({"type": kind, "id": id, "child": child}))
    }

    #[test]
    fn runs_that_go_on_are_read_first() {
        let events = [
            child(1, "ChildStarted", 0, "a"),
            child(2, "ChildStarted", 1, "b"),
            child(3, "ChildStarted", 2, "c"),
            child(4, "ChildFinished", 2, "c"),
        ];
        let ids: Vec<String> = started(&events, None).into_iter().map(|it| it.id).collect();
        assert_eq!(ids, ["b", "a", "c"]);
        let of = Descendant { id: "x".to_owned(), path: "p".to_owned(), instance: "1.1".to_owned() };
        let grandchild = started(&events, Some(&of)).remove(0);
        assert_eq!((grandchild.id.as_str(), grandchild.path.as_str()), ("b", "p"));
    }

    #[test]
    fn people_of_a_child_are_people_of_the_step_that_started_it() {
        let facts: RunFacts = serde_json::from_value(json!({
            "id": "c", "short_id": "c", "pipeline": "p", "title": null, "version": 9, "status": "waiting",
            "started_by": "run:r", "started_at": "1970-01-01T00:00:01Z", "ended_at": null,
            "steps": [{"id": "approve", "kind": "approval", "status": "waiting", "round": 1, "attempt": 1}],
        }))
        .unwrap();
        let id = json!({"path": {"step": "approve", "item": null}, "round": 1, "attempt": 1});
        let events = [event(5, json!({"type": "ApprovalRequested", "id": id}))];
        let run = Descendant { id: "c".to_owned(), path: "each.3".to_owned(), instance: "1.2".to_owned() };
        let spans = of_run(&run, &facts, &events);
        assert_eq!(spans.len(), 1);
        let span = &spans[0];
        assert_eq!((span.path.as_str(), span.instance.as_str()), ("each.3", "1.2"));
        assert_eq!((span.kind, span.from, span.to), (SpanKind::Human, 5_000, None));
    }
}

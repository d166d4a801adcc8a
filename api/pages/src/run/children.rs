//! The runs that a step started, with what they were given and what became of them.

use std::collections::HashMap;

use futures::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use super::event::Event;
use super::facts::{AwaitedFacts, FailureFacts, ParentFacts, UsageFacts};
use super::head::RunHead;
use crate::frame::{Frame, Visit};
use crate::visible::visible;
use crate::words::{self, encoded};

/// Runs that a panel lists.
pub(crate) const CHILDREN_MAX: usize = 30;
/// The longest input or output of a child, in characters.
const TEXT_MAX: usize = 2_000;

/// A run that a step started.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChildFacts {
    pub(crate) id: String,
    pub(crate) short_id: String,
    pub(crate) pipeline: String,
    pub(crate) title: Option<String>,
    pub(crate) status: String,
    pub(crate) started_at: String,
    pub(crate) ended_at: Option<String>,
    pub(crate) active_steps: Vec<String>,
    pub(crate) parent: Option<ParentFacts>,
    pub(crate) usage: UsageFacts,
    pub(crate) awaits: Vec<AwaitedFacts>,
    pub(crate) failure: Option<FailureFacts>,
    /// What it was given, and what it made.
    pub(crate) io: Value,
}

/// What a list of runs does not have of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ChildWhole {
    input: Value,
    output: Value,
    failure: Option<FailureFacts>,
}

impl ChildWhole {
    fn into_child(self) -> ChildFacts {
        let io = json!({ "input": self.input, "output": self.output });
        ChildFacts { io, failure: self.failure, ..ChildFacts::default() }
    }
}

#[derive(Debug, Deserialize)]
struct ChildList {
    items: Vec<ChildFacts>,
}

impl ChildFacts {
    /// Its title, or its pipeline.
    pub(crate) fn name(&self) -> &str {
        self.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or(&self.pipeline)
    }

    /// How long it took, or took until the shown moment.
    pub(crate) fn took(&self, frame: &Frame) -> String {
        words::took(&self.started_at, self.ended_at.as_deref().or(frame.then.as_deref()))
    }

    /// The step, or the item, that started it.
    pub(crate) fn by(&self) -> &str {
        self.parent.as_ref().map_or("", |parent| &parent.step)
    }

    /// What it was given.
    pub(crate) fn given(&self) -> Option<String> {
        value_text(self.io.get("input")?)
    }

    /// What it made.
    pub(crate) fn made(&self) -> Option<String> {
        value_text(self.io.get("output")?)
    }

    /// How it failed, in a line.
    pub(crate) fn error(&self) -> Option<String> {
        self.failure.as_ref().map(|failure| visible(&failure.message).into_owned())
    }
}

/// A value in one line; none where it says nothing.
pub(crate) fn value_text(value: &Value) -> Option<String> {
    let is_nothing = match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    let text = if let Value::String(text) = value { text.clone() } else { value.to_string() };
    (!is_nothing).then(|| visible(&text).chars().take(TEXT_MAX).collect())
}

/// The runs that a step or an item started, the newest first; one that cannot be read is left out.
pub(crate) async fn children_of(
    visit: &Visit,
    head: &RunHead,
    events: &[&Event],
    path: &str,
) -> Vec<ChildFacts> {
    let starts_runs = head.facts.step(path).is_some_and(|step| step.kind == "run" && step.round > 0);
    if !starts_runs {
        return Vec::new();
    }
    let ids = if path.contains('.') { started(events, path) } else { Vec::new() };
    let mut found: Vec<ChildFacts> = if ids.is_empty() {
        let list = visit.at_moment(&format!("/runs?parent={}&limit={CHILDREN_MAX}", head.facts.id));
        visit.rest.get::<ChildList>(&list).await.map(|page| page.items).unwrap_or_default()
    } else {
        join_all(ids.iter().map(|id| whole(visit, id))).await.into_iter().flatten().collect()
    };
    found.retain(|child| child.by() == path || child.by().split('.').next() == Some(path));
    let ids: Vec<String> = found.iter().map(|child| child.id.clone()).collect();
    for (child, whole) in found.iter_mut().zip(wholes(visit, &ids).await) {
        let Some(whole) = whole.map(ChildWhole::into_child) else { continue };
        child.io = whole.io;
        child.failure = whole.failure.or(child.failure.take());
    }
    found
}

/// The runs that an item started, by events, the newest first.
fn started(events: &[&Event], path: &str) -> Vec<String> {
    let own = events.iter().rev().filter(|event| {
        event.kind() == "ChildStarted" && event.place().is_some_and(|place| place.path == path)
    });
    own.map(|event| event.text("child").to_owned()).take(CHILDREN_MAX).collect()
}

async fn whole<T: serde::de::DeserializeOwned>(visit: &Visit, run: &str) -> Option<T> {
    let run = encoded(run);
    let path = match &visit.at {
        None => format!("/runs/{run}"),
        Some(_) => visit.at_moment(&format!("/runs/{run}/state")),
    };
    visit.rest.get(&path).await.ok()
}

async fn wholes(visit: &Visit, runs: &[String]) -> Vec<Option<ChildWhole>> {
    join_all(runs.iter().map(|run| whole(visit, run))).await
}

/// What runs were given and made, and how they failed, by their ids: of those that can be read.
pub(crate) async fn given_and_made(visit: &Visit, runs: &[String]) -> HashMap<String, ChildFacts> {
    let wholes = wholes(visit, runs).await.into_iter().zip(runs);
    let child = |(whole, id): (Option<ChildWhole>, &String)| Some((id.clone(), whole?.into_child()));
    wholes.filter_map(child).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_was_given_stands_in_one_line_where_it_says_something() {
        let io = json!({"input": {"name": "Ann"}, "output": null});
        let child = ChildFacts { io, ..ChildFacts::default() };
        assert_eq!((child.given().as_deref(), child.made()), (Some("{\"name\":\"Ann\"}"), None));
    }

    #[test]
    fn the_runs_of_an_item_are_those_that_it_started() {
        let started_by = |item: u64, child: &str| Event {
            version: 1,
            recorded_at: String::new(),
            actor: String::new(),
            event: json!({"type": "ChildStarted", "child": child,
                "id": {"path": {"step": "each", "item": item}, "round": 1, "attempt": 1}}),
        };
        let events = [started_by(2, "a"), started_by(20, "b"), started_by(2, "c")];
        assert_eq!(started(&events.iter().collect::<Vec<_>>(), "each.2"), ["c", "a"]);
    }
}

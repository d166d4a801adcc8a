//! What runs that a run started, and those that they started, ask people.

use std::collections::HashMap;

use futures::future::join_all;
use serde::Deserialize;

use super::facts::{AwaitedFacts, ParentFacts, RunFacts};
use super::waits::{Wait, of};
use crate::frame::Visit;
use crate::problem::Problem;
use crate::words::encoded;

/// Runs of a family that are looked at.
const FAMILY_MAX: usize = 200;
/// Questions that a headline names.
const ASKED_MAX: usize = 4;

/// A question of a run below.
#[derive(Debug, Clone)]
struct AskedBelow {
    /// The run that asks.
    run: String,
    awaited: AwaitedFacts,
}

impl AskedBelow {
    fn wait(&self) -> Wait {
        let Some(wait) = of(None, &self.awaited).into_iter().next() else { return Wait::default() };
        Wait { runs: vec![self.run.clone()], in_run: true, ..wait }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Member {
    id: String,
    short_id: String,
    parent: Option<ParentFacts>,
    awaits: Vec<AwaitedFacts>,
}

#[derive(Debug, Deserialize)]
struct Family {
    items: Vec<Member>,
}

/// What people are asked below a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct BelowRun {
    asked: Vec<AskedBelow>,
    /// Why not all of it can be read; the page of the run is shown all the same.
    unread: Option<String>,
}

impl BelowRun {
    /// The questions.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &AwaitedFacts> {
        self.asked.iter().map(|asked| &asked.awaited)
    }

    /// As what the run above waits for.
    pub(crate) fn waits(&self) -> impl Iterator<Item = Wait> {
        let unread = self.unread.iter().map(|why| Wait {
            state: "blocked",
            whom: "runs that it started".to_owned(),
            what: format!("what they ask people cannot be read: {why}"),
            ..Wait::default()
        });
        self.asked.iter().map(AskedBelow::wait).chain(unread)
    }
}

/// What people are asked below a run that waits for those that it started.
pub(crate) async fn asked_below(visit: &Visit, run: &RunFacts) -> BelowRun {
    if run.awaited_runs.is_empty() {
        return BelowRun::default();
    }
    let top = run.parent.as_ref().map(ParentFacts::top).unwrap_or(&run.id);
    let path = format!("/runs?top={}&status=waiting,blocked,running&limit={FAMILY_MAX}", encoded(top));
    let family: Family = match visit.rest.get(&visit.at_moment(&path)).await {
        Ok(family) => family,
        Err(problem) => return BelowRun { asked: Vec::new(), unread: Some(said(&problem)) },
    };
    // A list says that they ask, the run itself what.
    let members = asking(&family.items, &run.id);
    let wholes = join_all(members.iter().map(|member| whole(visit, &member.id))).await;
    let mut below = BelowRun::default();
    for (member, whole) in members.iter().zip(wholes) {
        match whole {
            Ok(whole) => {
                let of_people = whole.awaits.into_iter().filter(asks);
                let run = &member.short_id;
                below.asked.extend(of_people.map(|awaited| AskedBelow { run: run.clone(), awaited }));
            }
            Err(problem) => below.unread = Some(format!("run {}: {}", member.short_id, said(&problem))),
        }
    }
    below.asked.truncate(ASKED_MAX);
    below
}

/// What a refusal of a route says, in one line.
fn said(problem: &Problem) -> String {
    if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() }
}

async fn whole(visit: &Visit, run: &str) -> Result<Member, Problem> {
    let path = match &visit.at {
        None => format!("/runs/{run}"),
        Some(_) => visit.at_moment(&format!("/runs/{run}/state")),
    };
    visit.rest.get(&path).await
}

fn asks(awaited: &AwaitedFacts) -> bool {
    matches!(awaited.kind.as_str(), "approval" | "question" | "unblock")
}

/// The runs of a family below one that ask people something.
fn asking<'a>(family: &'a [Member], run: &str) -> Vec<&'a Member> {
    let parents: HashMap<&str, &str> =
        family.iter().filter_map(|it| Some((it.id.as_str(), it.parent.as_ref()?.run.as_str()))).collect();
    // Parents lead upwards to the top; the count ends a circle.
    let is_below = |id: &str| {
        let above = |id: &&str| parents.get(*id).copied();
        std::iter::successors(Some(id), above).skip(1).take(parents.len()).any(|above| above == run)
    };
    let below = family.iter().filter(|member| is_below(&member.id));
    below.filter(|member| member.awaits.iter().any(asks)).take(ASKED_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_grandchild_asks_is_known_above() {
        let family: Family = serde_json::from_value(json!({"items": [
            {"id": "c", "short_id": "c", "parent": {"run": "b", "top": "a"}, "awaits": [
                {"kind": "approval", "task": "c:ok:1", "step": "ok", "title": "Go?"}, {"kind": "timer", "step": "t"}]},
            {"id": "b", "short_id": "b", "parent": {"run": "a", "top": "a"}},
            {"id": "x", "short_id": "x", "parent": {"run": "y", "top": "a"}, "awaits": [
                {"kind": "approval", "task": "x:ok:1", "step": "ok", "title": "Other?"}]},
        ]}))
        .expect("a family");
        let found: Vec<&str> = asking(&family.items, "a").iter().map(|it| it.id.as_str()).collect();
        assert_eq!(found, ["c"]);
        let awaited = family.items[0].awaits[0].clone();
        let wait = AskedBelow { run: "c".to_owned(), awaited }.wait();
        assert_eq!((wait.what.as_str(), wait.runs.clone()), ("Go?", vec!["c".to_owned()]));
        assert_eq!(wait.task_path().as_deref(), Some("/inbox/c:ok:1"));
    }
    #[test]
    fn that_questions_below_cannot_be_read_stands_with_what_the_run_waits_for() {
        let problem = Problem { detail: "the read model is being built".into(), ..Problem::default() };
        let below = BelowRun { asked: Vec::new(), unread: Some(said(&problem)) };
        let waits: Vec<Wait> = below.waits().collect();
        assert_eq!(waits[0].what, "what they ask people cannot be read: the read model is being built");
        assert_eq!(BelowRun::default().waits().count(), 0);
    }
}

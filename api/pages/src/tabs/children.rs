//! `/runs/{run}/children`: the runs that began from this one and those that it began from, as a tree.

use std::collections::HashMap;

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::excerpt::clamped;
use crate::frame::{Frame, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::{ChildFacts, RunHead, RunTab, given_and_made, item_name};
use crate::words::{self, encoded};

/// Runs of one family that are read.
const RUNS_MAX: usize = 1_000;
/// Runs whose input and output are shown.
const WHOLE_MAX: usize = 60;
/// How deep a tree is drawn; deeper ones stand at its edge.
const DEPTH_MAX: usize = 8;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ParentFact {
    run: String,
    short_id: String,
    step: String,
    top: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct OriginFact {
    run: String,
    how: String,
    version: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct AwaitFact {
    step: String,
    kind: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct UsageFact {
    cost_usd: String,
}

/// A run as lists of REST have it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Relative {
    id: String,
    short_id: String,
    pipeline: String,
    title: Option<String>,
    status: String,
    started_at: String,
    ended_at: Option<String>,
    active_steps: Vec<String>,
    note: Option<String>,
    awaits: Vec<AwaitFact>,
    usage: UsageFact,
    parent: Option<ParentFact>,
    origin: Option<OriginFact>,
}

impl Relative {
    fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.pipeline)
    }

    /// Where it stands, in one line: what it waits for, what goes on, how it failed.
    fn stands(&self) -> String {
        if let Some(awaited) = self.awaits.first() {
            return format!("{} in {}", awaited.kind.replace('_', " "), awaited.step);
        }
        match &self.note {
            Some(note) => clamped(note, 160),
            None => self.active_steps.join(", "),
        }
    }

    /// How long it took, or took until the shown moment.
    fn took(&self, frame: &Frame) -> String {
        words::took(&self.started_at, self.ended_at.as_deref().or(frame.then.as_deref()))
    }
}

/// A run in its place of the tree.
struct RunBranch {
    depth: usize,
    run: Relative,
    is_here: bool,
    /// What it was given and made, and how it failed; of the first runs.
    whole: Option<ChildFacts>,
}

impl RunBranch {
    /// What it was given and made; how it failed where its line does not say that.
    fn inside(&self) -> Option<ChildFacts> {
        let mut whole = self.whole.clone()?;
        if self.run.note.is_some() {
            whole.failure = None;
        }
        Some(whole)
    }

    /// What tells it apart from others of its pipeline: the item that it is for, by its input.
    fn item(&self) -> Option<String> {
        let input = self.whole.as_ref()?.io.get("input")?;
        let by_item = self.run.parent.as_ref().is_some_and(|parent| parent.step.contains('.'));
        // Steps within a `foreach` are given their item beside its number.
        let fields = input.as_object().filter(|_| by_item)?;
        let value = match (fields.len(), fields.contains_key("index")) {
            (2, true) => fields.iter().find(|(name, _)| *name != "index").map(|(_, value)| value)?,
            _ => input,
        };
        Some(item_name(value)).filter(|name| !name.is_empty())
    }

    /// How it came to be: the step of its parent, or what it was forked from.
    fn by(&self) -> String {
        match &self.run.parent {
            Some(parent) => parent.step.clone(),
            None => String::new(),
        }
    }
}

#[derive(Template)]
#[template(path = "tabs/children.html")]
struct ChildrenPage {
    frame: Frame,
    head: RunHead,
    tree: Vec<RunBranch>,
    origin: Option<(OriginFact, Option<Relative>)>,
    forks: Forks,
    is_cut: bool,
    /// What was refused of what is shown beside.
    refused: Vec<Refusal>,
    counts: Vec<(String, usize)>,
}

impl ChildrenPage {
    /// The page of a run.
    fn run_path(&self, run: &str) -> String {
        self.frame.to(format!("/runs/{}", words::short(run)))
    }

    fn compare_path(&self, other: &str) -> String {
        self.frame.to(with_query(&self.head.tab_path("/compare"), "with", words::short(other)))
    }
}

/// A part of the page that could not be read.
struct Refusal {
    /// What is not shown.
    what: &'static str,
    problem: Problem,
}

/// The runs that began as copies of a run.
#[derive(Default)]
struct Forks {
    runs: Vec<Relative>,
    /// There are more.
    is_cut: bool,
}

#[derive(Deserialize)]
struct RelativeList {
    items: Vec<Relative>,
    next_cursor: Option<String>,
}

/// `GET /runs/{run}/children`.
pub(crate) async fn page(visit: Visit, Path(run): Path<String>) -> Result<Response, Problem> {
    let head = RunHead::load(&visit, &run, RunTab::Children).await?;
    let me = Relative::deserialize(&head.view)
        .map_err(|error| Problem::within(format!("the run cannot be read: {error}")))?;
    let top = me.parent.as_ref().map_or_else(|| me.id.clone(), |parent| parent.top.clone());
    let of_family = format!("/runs?top={}&limit={RUNS_MAX}&sort=started", encoded(&top));
    let family: RelativeList = visit.rest.get(&visit.at_moment(&of_family)).await?;
    let is_cut = family.next_cursor.is_some();
    let mut runs = family.items;
    let mut refused = Vec::new();
    let mut taken = |what: &'static str, asked: Result<Relative, Problem>| {
        asked.map_err(|problem| refused.push(Refusal { what, problem })).ok()
    };
    if top != me.id {
        runs.extend(taken("The topmost run", one(&visit, &top).await));
    }
    let origin = match me.origin.clone() {
        Some(origin) => {
            let run = taken("The run that it is a copy of", one(&visit, &origin.run).await);
            Some((origin, run))
        }
        None => None,
    };
    let forks = forks(&visit, &me).await.unwrap_or_else(|problem| {
        refused.push(Refusal { what: "The runs that began as copies of this one", problem });
        Forks::default()
    });
    let here = me.id.clone();
    runs.retain(|run| run.id != here);
    runs.push(me);
    let mut tree = tree(runs, &top, &here);
    let ids: Vec<String> = tree
        .iter()
        .filter(|branch| branch.run.parent.is_some())
        .take(WHOLE_MAX)
        .map(|branch| branch.run.id.clone())
        .collect();
    let mut wholes = given_and_made(&visit, &ids).await;
    for branch in &mut tree {
        branch.whole = wholes.remove(&branch.run.id);
    }
    let counts = counts(&tree);
    let frame = head.frame(&visit);
    Ok(Html(ChildrenPage { frame, head, tree, origin, forks, is_cut, refused, counts }).into_response())
}

/// A run that is shown beside.
async fn one(visit: &Visit, run: &str) -> Result<Relative, Problem> {
    let run = encoded(run);
    let path = match &visit.at {
        None => format!("/runs/{run}"),
        Some(_) => visit.at_moment(&format!("/runs/{run}/state")),
    };
    visit.rest.get(&path).await
}

/// The runs that were forked, restarted or retried from this one, the newest first.
async fn forks(visit: &Visit, me: &Relative) -> Result<Forks, Problem> {
    let filter = format!("origin.run == '{}'", me.id);
    let path = format!("/runs?filter={}&limit={RUNS_MAX}", encoded(&filter));
    let list: RelativeList = visit.rest.get(&visit.at_moment(&path)).await?;
    Ok(Forks { runs: list.items, is_cut: list.next_cursor.is_some() })
}

/// The runs of a family, each behind its parent. What hangs on nothing that was read hangs on the top.
fn tree(runs: Vec<Relative>, top: &str, here: &str) -> Vec<RunBranch> {
    let known: std::collections::HashSet<String> = runs.iter().map(|run| run.id.clone()).collect();
    let mut below: HashMap<String, Vec<Relative>> = HashMap::new();
    let mut roots = Vec::new();
    for run in runs {
        let parent =
            run.parent.as_ref().map(|parent| parent.run.clone()).filter(|parent| known.contains(parent));
        match parent {
            Some(parent) if run.id != top => below.entry(parent).or_default().push(run),
            _root => roots.push(run),
        }
    }
    let (mut tree, mut open): (Vec<RunBranch>, Vec<(usize, Relative)>) = (Vec::new(), Vec::new());
    open.extend(roots.into_iter().rev().map(|run| (0, run)));
    while let Some((depth, run)) = open.pop() {
        let mut children = below.remove(&run.id).unwrap_or_default();
        children.sort_by(|a, b| (&a.started_at, &a.id).cmp(&(&b.started_at, &b.id)));
        open.extend(children.into_iter().rev().map(|child| ((depth + 1).min(DEPTH_MAX), child)));
        tree.push(RunBranch { depth, is_here: run.id == here, run, whole: None });
    }
    tree
}

/// How many runs of the tree stand where.
fn counts(tree: &[RunBranch]) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for branch in tree.iter().filter(|branch| branch.run.parent.is_some()) {
        match counts.iter_mut().find(|(status, _)| *status == branch.run.status) {
            Some((_, count)) => *count += 1,
            None => counts.push((branch.run.status.clone(), 1)),
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, parent: Option<&str>) -> Relative {
        let parent = parent.map(|run| ParentFact {
            run: run.to_owned(),
            top: "a".to_owned(),
            ..ParentFact::default()
        });
        Relative { id: id.to_owned(), status: "running".to_owned(), parent, ..Relative::default() }
    }

    #[test]
    fn each_run_stands_behind_its_parent() {
        let runs = vec![
            run("d", Some("b")),
            run("b", Some("a")),
            run("c", Some("a")),
            run("a", None),
            run("x", Some("gone")),
        ];
        let tree = tree(runs, "a", "b");
        let shown: Vec<_> =
            tree.iter().map(|branch| (branch.run.id.as_str(), branch.depth, branch.is_here)).collect();
        assert_eq!(
            shown,
            [("a", 0, false), ("b", 1, true), ("d", 2, false), ("c", 1, false), ("x", 0, false)]
        );
        assert_eq!(counts(&tree), [("running".to_owned(), 4)]);
    }

    #[test]
    fn children_of_items_are_told_apart_by_what_they_were_given() {
        let item = |step: &str, input: serde_json::Value| {
            let parent = ParentFact { step: step.to_owned(), ..ParentFact::default() };
            let whole = ChildFacts { io: serde_json::json!({ "input": input }), ..ChildFacts::default() };
            let run = Relative { parent: Some(parent), ..Relative::default() };
            RunBranch { depth: 1, run, is_here: false, whole: Some(whole) }.item()
        };
        let inner = serde_json::json!({"index": 0, "it": {"n": 0, "name": "item-0"}});
        assert_eq!(item("each.0", inner).as_deref(), Some("item-0"));
        assert_eq!(item("children.1", serde_json::json!({"name": "Bob"})).as_deref(), Some("Bob"));
        assert_eq!(item("p", serde_json::json!({"name": "Bob"})), None);
    }

    #[test]
    fn runs_that_are_each_others_parents_end() {
        assert!(tree(vec![run("b", Some("c")), run("c", Some("b"))], "a", "b").is_empty());
    }
}

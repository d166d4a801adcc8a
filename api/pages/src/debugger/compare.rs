//! `/runs/{run}/compare`: two versions of a run, or a run and another one.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::address::{number, run_name};
use super::event::{NamedEvent, PastEvent};
use super::runs_diff;
use super::step::ListAnswer;
use super::tree::{Tree, ValueChange};
use crate::frame::{Frame, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::{RunHead, RunTab};

/// Other runs that are offered.
const OFFERED: usize = 12;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CompareParams {
    /// The earlier version.
    from: Option<String>,
    /// The later version; none: the last one.
    to: Option<String>,
    /// Another run.
    with: Option<String>,
}

/// A moment of a run.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct VersionFacts {
    pub(crate) version: u64,
    pub(crate) at: String,
    pub(crate) status: String,
}

#[derive(Debug, Deserialize)]
struct StepChanges {
    step: String,
    changes: Vec<ValueChange>,
}

/// The answer of `GET /runs/{run}/diff`.
#[derive(Debug, Deserialize)]
struct VersionsDiff {
    from: VersionFacts,
    to: VersionFacts,
    changes: Vec<ValueChange>,
    steps: Vec<StepChanges>,
    events: Vec<NamedEvent>,
    events_total: u64,
}

/// A run that may be compared with.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Offered {
    pub(crate) id: String,
    pub(crate) short_id: String,
    pub(crate) title: Option<String>,
    pub(crate) pipeline: String,
    pub(crate) status: String,
    pub(crate) started_at: String,
    #[serde(default)]
    pub(crate) note: Option<String>,
}

#[derive(Template)]
#[template(path = "debugger/choose.html")]
struct OtherRunPage {
    frame: Frame,
    head: RunHead,
    offered: Vec<Offered>,
    from: String,
    to: String,
    /// The run that this one was forked, restarted or retried from.
    origin: Option<String>,
}

impl OtherRunPage {
    fn with(&self, run: &str) -> String {
        self.frame.to(with_query(&format!("/runs/{}/compare", self.head.facts.short_id), "with", run))
    }
}

#[derive(Template)]
#[template(path = "debugger/versions.html")]
struct VersionsPage {
    frame: Frame,
    head: RunHead,
    diff: VersionsDiff,
    run: Tree,
    steps: Vec<(String, Tree)>,
    events: Vec<PastEvent>,
}

impl VersionsPage {
    fn at(&self, version: &u64) -> String {
        self.frame.to(format!("/runs/{}/debug?version={version}", self.head.facts.short_id))
    }

    fn tone(&self, event: &PastEvent) -> &'static str {
        event.tone().class()
    }

    fn said(&self, event: &PastEvent) -> String {
        super::tree::clipped(&event.said(), 120)
    }

    fn between(&self) -> String {
        crate::words::took(&self.diff.from.at, Some(&self.diff.to.at))
    }

    fn changes(&self) -> usize {
        self.run.changes + self.steps.iter().map(|(_, tree)| tree.changes).sum::<usize>()
    }

    /// More events than are listed.
    fn unlisted(&self) -> u64 {
        self.diff.events_total.saturating_sub(self.events.len() as u64)
    }
}

/// `GET /runs/{run}/compare`.
pub(crate) async fn page(
    visit: Visit,
    Path(run): Path<String>,
    Query(params): Query<CompareParams>,
) -> Result<Response, Problem> {
    let head = RunHead::load(&visit, run_name(&run).map_err(Problem::not_found)?, RunTab::Compare).await?;
    let (from, to) = (
        number("from", params.from.as_deref()).map_err(Problem::invalid)?,
        number("to", params.to.as_deref()).map_err(Problem::invalid)?,
    );
    if let Some(with) = params.with.as_deref().filter(|with| !with.trim().is_empty()) {
        return runs_diff::page(visit, head, run_name(with).map_err(Problem::not_found)?).await;
    }
    match (from, to) {
        (from, Some(to)) => versions(visit, head, from.unwrap_or(1), to).await,
        (from, None) => choose(visit, head, from).await,
    }
}

async fn choose(visit: Visit, head: RunHead, from: Option<u64>) -> Result<Response, Problem> {
    let path = with_query(&format!("/runs?limit={}", OFFERED + 1), "pipeline", &head.facts.pipeline);
    let list: ListAnswer<Offered> = visit.rest.get(&visit.at_moment(&path)).await?;
    let offered = list.items.into_iter().filter(|other| other.id != head.facts.id).take(OFFERED);
    let last = head.facts.version;
    let page = OtherRunPage {
        frame: head.frame(&visit),
        offered: offered.collect(),
        from: from.unwrap_or(1).to_string(),
        to: last.to_string(),
        origin: head.view["origin"]["run"].as_str().map(str::to_owned),
        head,
    };
    Ok(Html(OtherRunPage { frame: Frame { live: false, ..page.frame }, ..page }).into_response())
}

async fn versions(visit: Visit, head: RunHead, from: u64, to: u64) -> Result<Response, Problem> {
    let last = head.facts.version;
    let (from, to) = (from.clamp(1, last), to.clamp(1, last));
    let diff: VersionsDiff =
        visit.rest.get(&format!("/runs/{}/diff?from={from}&to={to}", head.facts.id)).await?;
    let events = between(&visit, &head.facts.id, &diff).await?;
    let steps = diff.steps.iter().map(|step| (step.step.clone(), Tree::of_changes(&step.changes))).collect();
    let mut frame = head.frame(&visit);
    frame.live = false;
    Ok(Html(VersionsPage { frame, run: Tree::of_changes(&diff.changes), steps, events, diff, head })
        .into_response())
}

/// The events that lie between two versions, as many of them as the comparison names.
async fn between(visit: &Visit, run: &str, diff: &VersionsDiff) -> Result<Vec<PastEvent>, Problem> {
    let (Some(first), Some(last)) = (diff.events.first(), diff.events.last()) else { return Ok(Vec::new()) };
    let path = format!("/runs/{run}/events?from={}&limit={}", first.version, diff.events.len());
    let list: ListAnswer<PastEvent> = visit.rest.get(&path).await?;
    Ok(list.items.into_iter().filter(|event| event.version <= last.version).collect())
}

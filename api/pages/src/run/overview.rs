//! The overview: graph, time, and the story or the panel of the selected step.
//!
//! Law: graph, time and panel share one selection, which the address names: `step`, and `attempt` of it.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::axis::Zoom;
use super::child_ends::{EndedChild, needs_runs, with_ends};
use super::child_waits::of_children;
use super::event::Event;
use super::graph::{GraphLayout, Picture, picture};
use super::head::{RunHead, RunTab};
use super::panel::{ChildFacts, Panel, PanelOf};
use super::spans::{AttemptFacts, of_attempts, of_probes, of_waits, ticks};
use super::story::{Story, story};
use super::time::{Chart, ChartOf, chart};
use crate::frame::{Frame, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;

/// The newest events that are looked at.
const EVENTS_MAX: u64 = 1_000;
/// Runs that steps started whose ends are read, where the events that record them are not.
const ENDS_MAX: usize = 1_000;
/// Runs that steps started, as a panel lists them.
const CHILDREN_MAX: usize = 30;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OverviewParams {
    /// The selected step, or an item of it.
    step: Option<String>,
    /// Its round and try: `2.1`.
    attempt: Option<String>,
    /// The shown part of the time: milliseconds since the begin, `1200-5600`.
    zoom: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ItemPage<T> {
    items: Vec<T>,
}

#[derive(Template)]
#[template(path = "run/overview.html")]
struct OverviewPage {
    frame: Frame,
    head: RunHead,
    graph: Option<Picture>,
    chart: Chart,
    story: Option<Story>,
    panel: Option<Panel>,
    /// The step that the address names, and the run does not have.
    unknown: Option<String>,
    selected: Selection,
}

/// What the address names.
#[derive(Debug, Clone, Default)]
struct Selection {
    run: String,
    step: Option<String>,
    attempt: Option<String>,
    zoom: Option<String>,
}

impl Selection {
    fn with(&self, step: Option<&str>, attempt: Option<&str>, zoom: Option<&str>) -> String {
        let mut path = format!("/runs/{}", self.run);
        for (name, value) in [("step", step), ("attempt", attempt), ("zoom", zoom)] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                path = with_query(&path, name, value);
            }
        }
        path
    }

    /// This page with a step selected.
    fn to_step(&self, step: &str) -> String {
        self.with(Some(step), None, self.zoom.as_deref())
    }

    /// This page with a try selected.
    fn to_try(&self, step: &str, attempt: &str) -> String {
        self.with(Some(step), Some(attempt), self.zoom.as_deref())
    }

    /// This page with another part of the time.
    fn to_zoom(&self, zoom: &str) -> String {
        self.with(self.step.as_deref(), self.attempt.as_deref(), Some(zoom))
    }

    /// A version in the debugger.
    fn to_version(&self, version: &u64) -> String {
        format!("/runs/{}/debug?version={version}", self.run)
    }

    /// This page with nothing selected.
    fn to_nothing(&self) -> String {
        self.with(None, None, self.zoom.as_deref())
    }
}

pub(crate) async fn overview(
    visit: Visit,
    Path(run): Path<String>,
    Query(params): Query<OverviewParams>,
) -> Result<Response, Problem> {
    let head = RunHead::load(&visit, &run, RunTab::Overview).await?;
    let asked = params.step.filter(|step| !step.is_empty());
    let (graph, attempts, events, children) = tokio::join!(
        layout(&visit, &head),
        attempts(&visit, &head),
        events(&visit, &head),
        children(&visit, &head, asked.is_some()),
    );
    let (attempts, events) = (attempts?, events?);
    let is_missing = needs_runs(&attempts, &events, &head.facts);
    let (started, waits) = tokio::join!(ends(&visit, &head, is_missing), of_children(&visit, &events));
    let attempts: Vec<AttemptFacts> = with_ends(attempts, &events, &started, &head.facts)
        .into_iter()
        .map(|attempt| attempt.seen(&head.facts))
        .collect();
    let now = visit.shown_millis();
    let step = asked.clone().filter(|step| head.facts.step(step).is_some());
    let attempt = params.attempt.filter(|_| step.is_some());
    let zoom = params.zoom.as_deref().and_then(Zoom::parse);
    let mut spans = of_attempts(&attempts);
    spans.extend(of_waits(&events, &head.facts));
    spans.extend(waits);
    spans.extend(of_probes(&events));
    let chart = chart(&ChartOf {
        run: &head.facts,
        attempts: &attempts,
        spans: &spans,
        ticks: &ticks(&events),
        zoom,
        selected: step.as_deref(),
        attempt: attempt.as_deref(),
        now,
    });
    let base = step.as_deref().map(|step| step.split('.').next().unwrap_or(step).to_owned());
    let panel = step.as_deref().and_then(|path| {
        let node =
            graph.as_ref().and_then(|graph| graph.nodes.iter().find(|node| Some(&node.id) == base.as_ref()));
        Panel::of(PanelOf {
            run: &head.facts,
            attempts: &attempts,
            events: &events,
            node,
            children,
            path,
            attempt: attempt.as_deref(),
            now,
        })
    });
    let page = OverviewPage {
        frame: head.frame(&visit),
        graph: graph.map(|layout| picture(layout, &head.facts, base.as_deref())),
        story: panel.is_none().then(|| story(&events, &head.facts.started_at)),
        unknown: asked.filter(|_| step.is_none()),
        selected: Selection {
            run: head.facts.short_id.clone(),
            step,
            attempt,
            zoom: chart.zoom.shown.clone(),
        },
        chart,
        panel,
        head,
    };
    Ok(Html(page).into_response())
}

/// The graph; a page without one is better than none.
async fn layout(visit: &Visit, head: &RunHead) -> Option<GraphLayout> {
    visit.rest.get(&format!("/runs/{}/graph?detail=names", head.facts.id)).await.ok()
}

async fn attempts(visit: &Visit, head: &RunHead) -> Result<Vec<AttemptFacts>, Problem> {
    let path = visit.at_moment(&format!("/runs/{}/timeline", head.facts.id));
    let items = visit.rest.get::<ItemPage<AttemptFacts>>(&path).await?.items;
    // What prepares a question for people is no try of theirs.
    let is_work = |it: &AttemptFacts| head.facts.step(&it.step).is_none_or(|step| !step.is_human());
    Ok(items.into_iter().filter(is_work).collect())
}

/// The newest events until the shown version.
async fn events(visit: &Visit, head: &RunHead) -> Result<Vec<Event>, Problem> {
    let (id, last) = (&head.facts.id, head.facts.version);
    let from = last.saturating_sub(EVENTS_MAX - 1).max(1);
    let path = format!("/runs/{id}/events?from={from}&limit={EVENTS_MAX}");
    let mut events = visit.rest.get::<ItemPage<Event>>(&path).await?.items;
    events.retain(|event| event.version <= last);
    Ok(events)
}

/// The runs that steps of it started, where the page shows them.
async fn children(visit: &Visit, head: &RunHead, is_wanted: bool) -> Vec<ChildFacts> {
    let starts_runs = head.facts.steps.iter().any(|step| step.kind == "run" && step.round > 0);
    if !is_wanted || !starts_runs {
        return Vec::new();
    }
    started(visit, head, CHILDREN_MAX).await
}

/// The runs that steps of it started, where their ends are not known otherwise.
async fn ends(visit: &Visit, head: &RunHead, is_wanted: bool) -> Vec<EndedChild> {
    if is_wanted { started(visit, head, ENDS_MAX).await } else { Vec::new() }
}

/// The newest runs that steps of it started.
async fn started<T: DeserializeOwned>(visit: &Visit, head: &RunHead, most: usize) -> Vec<T> {
    let path = visit.at_moment(&format!("/runs?parent={}&limit={most}", head.facts.id));
    visit.rest.get::<ItemPage<T>>(&path).await.map(|page| page.items).unwrap_or_default()
}

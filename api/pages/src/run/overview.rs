//! The overview: graph, time, and the story or the panel of the selected step.
//!
//! Law: graph, time and panel share one selection, which the address names: `step`, and `attempt` of it.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::axis::Zoom;
use super::child_ends::{EndedChild, needs_runs, with_ends};
use super::child_waits::of_children;
use super::children::{ChildFacts, children_of};
use super::event::Event;
use super::folding::Folding;
use super::graph::{GraphLayout, Picture, picture};
use super::head::{RunHead, RunTab};
use super::items::{ItemNames, ItemsAsked, exists};
use super::older;
use super::panel::{Panel, PanelOf};
use super::spans::{AttemptFacts, Span, of_attempts, of_probes, of_waits, ticks};
use super::story::{SENTENCES_MAX, Story, story};
use super::time::{Chart, ChartOf, chart};
use crate::frame::{Frame, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;
use crate::tabs::LogTail;

/// The newest events that are looked at.
const EVENTS_MAX: u64 = 1_000;
/// Runs that steps started whose ends are read, where the events that record them are not.
const ENDS_MAX: usize = 1_000;
/// So often as many older ones are read, where the story is short without them.
const STORY_READS_MAX: usize = 3;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OverviewParams {
    /// The selected step, or an item of it.
    step: Option<String>,
    /// Its round and try: `2.1`.
    attempt: Option<String>,
    /// Another item of the selected step, by its number.
    item: Option<String>,
    /// Of the selected step's items those in this state alone, and the page of their list.
    items: Option<String>,
    page: Option<String>,
    /// The shown part of the time: milliseconds since the begin, `1200-5600`.
    zoom: Option<String>,
    /// `all`: the graph has the skipped steps, too.
    steps: Option<String>,
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
    folding: Option<Folding>,
    chart: Chart,
    story: Option<Story>,
    panel: Option<Panel>,
    /// The newest lines of the attempt that the panel shows, while it goes on.
    tail: Option<LogTail>,
    /// The step that the address names, and the run does not have.
    unknown: Option<String>,
    selected: Selection,
}

impl OverviewParams {
    /// The step or item that is asked for.
    fn asked(&self) -> Option<String> {
        let named = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned)
        };
        let step = named(&self.step)?;
        Some(match named(&self.item) {
            Some(item) => format!("{}.{item}", step.split('.').next().unwrap_or(&step)),
            None => step,
        })
    }

    /// The part of the list of items that is asked for.
    fn items(&self) -> ItemsAsked {
        let page = self.page.as_deref().and_then(|page| page.parse().ok()).unwrap_or(1);
        ItemsAsked { state: self.items.clone(), page }
    }
}

/// What the address names.
#[derive(Debug, Clone, Default)]
struct Selection {
    run: String,
    step: Option<String>,
    attempt: Option<String>,
    zoom: Option<String>,
    /// The graph has the skipped steps, too.
    has_all_steps: bool,
}

impl Selection {
    fn with(&self, step: Option<&str>, attempt: Option<&str>, zoom: Option<&str>) -> String {
        let mut path = format!("/runs/{}", self.run);
        let steps = self.has_all_steps.then_some("all");
        for (name, value) in [("step", step), ("attempt", attempt), ("zoom", zoom), ("steps", steps)] {
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

    /// This page with what a sentence is about selected.
    fn to_row(&self, one: &super::story::Sentence) -> String {
        self.with(Some(&one.step), one.attempt.as_deref(), self.zoom.as_deref())
    }

    /// This page with another part of the time.
    fn to_zoom(&self, zoom: &str) -> String {
        self.with(self.step.as_deref(), self.attempt.as_deref(), Some(zoom))
    }

    /// A version in the debugger.
    fn to_version(&self, version: &u64) -> String {
        format!("/runs/{}/debug?version={version}", self.run)
    }

    /// This page with the skipped steps folded in the graph where they are not, and there where they are folded.
    fn to_other_steps(&self) -> String {
        let other = Self { has_all_steps: !self.has_all_steps, ..self.clone() };
        other.with(self.step.as_deref(), self.attempt.as_deref(), self.zoom.as_deref())
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
    let asked = params.asked();
    let asked_items = params.items();
    let has_all_steps = params.steps.as_deref() == Some("all");
    let folding = Folding::of(&head.facts, asked.as_deref(), has_all_steps);
    let (graph, attempts, events) =
        tokio::join!(layout(&visit, &head, folding.as_ref()), attempts(&visit, &head), events(&visit, &head));
    let (attempts, mut events) = (attempts?, events?);
    let (attempts, waits) = with_started(&visit, &head, attempts, &events).await;
    let now = visit.shown_millis();
    let step = asked.clone().filter(|path| exists(&head.facts, path));
    if step.is_none() {
        more_to_tell(&visit, &head, &mut events).await;
    }
    let names = older::names(&visit, &head, &events).await;
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
    let panel = match &step {
        Some(path) => {
            let graph = graph.as_ref();
            let shown = (path.as_str(), attempt.as_deref());
            selected_panel(&visit, &head, &attempts, &events, (&names, &asked_items), graph, shown).await
        }
        None => None,
    };
    let tail = match panel.as_ref().and_then(Panel::live).filter(|_| visit.at.is_none()) {
        Some(live) => LogTail::load(&visit, &head.facts.short_id, &live.path, &live.instance).await,
        None => None,
    };
    let page = OverviewPage {
        frame: head.frame(&visit),
        graph: graph.map(|layout| picture(layout, &head.facts, base.as_deref())),
        story: panel.is_none().then(|| story(&events, &head.facts.started_at, &names)),
        tail,
        unknown: asked.filter(|_| step.is_none()),
        selected: Selection {
            run: head.facts.short_id.clone(),
            step,
            attempt,
            zoom: chart.zoom.shown.clone(),
            has_all_steps,
        },
        folding,
        chart,
        panel,
        head,
    };
    Ok(Html(page).into_response())
}

/// The graph; a page without one is better than none.
async fn layout(visit: &Visit, head: &RunHead, folding: Option<&Folding>) -> Option<GraphLayout> {
    let path = format!("/runs/{}/graph?detail=names", head.facts.id);
    let path = match folding.filter(|folding| !folding.has_all_steps) {
        Some(folding) => with_query(&path, "without", &folding.skipped.join(",")),
        None => path,
    };
    visit.rest.get(&path).await.ok()
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
    let mut events = older::read(visit, id, from, EVENTS_MAX).await?;
    events.retain(|event| event.version <= last);
    Ok(events)
}

/// The attempts with the ends of the runs that they started, and what people are waited for in those.
async fn with_started(
    visit: &Visit,
    head: &RunHead,
    attempts: Vec<AttemptFacts>,
    events: &[Event],
) -> (Vec<AttemptFacts>, Vec<Span>) {
    let is_missing = needs_runs(&attempts, events, &head.facts);
    let (started, waits) = tokio::join!(ends(visit, head, is_missing), of_children(visit, events));
    let attempts = with_ends(attempts, events, &started, &head.facts).into_iter();
    (attempts.map(|attempt| attempt.seen(&head.facts)).collect(), waits)
}

/// The newest runs that steps of it started, where their ends are not known otherwise.
async fn ends(visit: &Visit, head: &RunHead, is_wanted: bool) -> Vec<EndedChild> {
    if !is_wanted {
        return Vec::new();
    }
    let path = visit.at_moment(&format!("/runs?parent={}&limit={ENDS_MAX}", head.facts.id));
    visit.rest.get::<ItemPage<EndedChild>>(&path).await.map(|page| page.items).unwrap_or_default()
}

/// Reads older events before those that are known, where those do not tell enough.
async fn more_to_tell(visit: &Visit, head: &RunHead, events: &mut Vec<Event>) {
    for _read in 0..STORY_READS_MAX {
        let first = events.first().map_or(1, |event| event.version);
        let sentences = story(events, &head.facts.started_at, &ItemNames::default()).sentences.len();
        if first <= 1 || sentences >= SENTENCES_MAX {
            return;
        }
        let from = first.saturating_sub(EVENTS_MAX).max(1);
        let Ok(mut before) = older::read(visit, &head.facts.id, from, first - from).await else { return };
        before.retain(|event| event.version < first);
        before.append(events);
        *events = before;
    }
}

/// The panel of the selected step or item, and of a try of it.
async fn selected_panel(
    visit: &Visit,
    head: &RunHead,
    attempts: &[AttemptFacts],
    events: &[Event],
    (names, asked): (&ItemNames, &ItemsAsked),
    graph: Option<&GraphLayout>,
    (path, attempt): (&str, Option<&str>),
) -> Option<Panel> {
    let (older, children) = of_selected(visit, head, attempts, events, path, attempt).await;
    let step = path.split('.').next().unwrap_or(path);
    let node = graph.and_then(|graph| graph.nodes.iter().find(|node| node.id == step));
    let (run, now) = (&head.facts, visit.shown_millis());
    Panel::of(PanelOf {
        run,
        attempts,
        events,
        older: &older,
        names,
        asked,
        node,
        children,
        path,
        attempt,
        now,
    })
}

/// What the page reads for the selected step or item: its events that happened before those that are known, and the
/// runs that it started.
async fn of_selected(
    visit: &Visit,
    head: &RunHead,
    attempts: &[AttemptFacts],
    events: &[Event],
    path: &str,
    attempt: Option<&str>,
) -> (Vec<Event>, Vec<ChildFacts>) {
    let own = attempts.iter().rev().filter(|it| it.step == path);
    let shown =
        own.clone().find(|it| attempt.is_some_and(|shown| it.instance() == shown)).or(own.clone().next());
    let step = head.facts.step(path).filter(|_| shown.is_none() && !path.contains('.'));
    let moments = [
        shown.map(|it| it.scheduled_at.as_str()),
        shown.and_then(|it| it.end.as_ref()).map(|end| end.at.as_str()),
        step.and_then(|step| step.started_at.as_deref()),
        step.and_then(|step| step.ended_at.as_deref()),
    ];
    let moments: Vec<&str> = moments.into_iter().flatten().collect();
    let older = older::of_path(visit, head, events, path, &moments).await;
    let known: Vec<&Event> = older.iter().chain(events).collect();
    let children = children_of(visit, head, &known, path).await;
    (older, children)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_named_by_its_address_or_its_number() {
        let asked = |step: &str, item: &str| {
            let params = OverviewParams {
                step: Some(step.to_owned()),
                item: Some(item.to_owned()),
                ..OverviewParams::default()
            };
            params.asked()
        };
        assert_eq!(asked("each", " 7 ").as_deref(), Some("each.7"));
        assert_eq!(asked("each.3", "7").as_deref(), Some("each.7"));
        assert_eq!(asked("each.3", "").as_deref(), Some("each.3"));
        assert_eq!(asked("", "7"), None);
    }
}

//! Two runs side by side, step by step, and where they part.
//!
//! Steps go on beside each other, so the order of all events says little: the events of each step are compared with
//! those of the same step in the other run. Where the earliest of these tracks differs, the runs part.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;
use similar::{Algorithm, DiffTag, capture_diff_slices};

use super::event::PastEvent;
use super::step::ListAnswer;
use super::tree::Tree;
use crate::frame::{Frame, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::RunHead;

/// Parts of a run's history that are read, of 1,000 events each.
const PARTS_MAX: usize = 5;
/// Rows of one step that are drawn.
const ROWS_MAX: usize = 120;
/// Events that say nothing of the course of a run: waiting, counting, and what a fork does to begin.
const APART: [&str; 18] = [
    "UsageRecorded",
    "NoticeQueued",
    "NoticeSent",
    "NoticeFailed",
    "SpendReported",
    "ClockRead",
    "WorkspaceRemoved",
    "ProgressReported",
    "NoteAdded",
    "RunForked",
    "RunQueued",
    "RunAdmitted",
    "FundsRequested",
    "FundsGranted",
    "FundsAnswered",
    "TimerSet",
    "TimerFired",
    "Advanced",
];
/// The step of the gates that admit a run.
const ADMISSION: &str = "$admit";

/// What is told of a run above its history.
#[derive(Debug, Deserialize)]
struct SideFacts {
    id: String,
    short_id: String,
    pipeline: String,
    title: Option<String>,
    status: String,
    version: u64,
    started_by: String,
    started_at: String,
    ended_at: Option<String>,
}

/// A run and what happened to it.
#[derive(Debug)]
struct Side {
    facts: SideFacts,
    view: Value,
    events: Vec<PastEvent>,
    /// Whether the history is longer than what was read.
    is_cut: bool,
    /// The time of the shown moment; none: now.
    then: Option<String>,
}

impl Side {
    /// How long the run took, or took until the shown moment.
    fn took(&self) -> String {
        let end = self.facts.ended_at.as_deref().or(self.then.as_deref());
        crate::words::took(&self.facts.started_at, end)
    }
}

/// What a step of one run came to.
#[derive(Debug, Clone, Default, PartialEq)]
struct StepFigures {
    status: String,
    turns: String,
    took: String,
    cost: String,
    output: Value,
}

/// An event of one side, in a row.
#[derive(Debug, Clone)]
struct TrackCell {
    version: u64,
    said: String,
    tone: &'static str,
}

/// A row of a step's events: the same on both sides, or of one alone.
#[derive(Debug, Clone)]
struct TrackRow {
    left: Option<TrackCell>,
    right: Option<TrackCell>,
}

impl TrackRow {
    fn is_same(&self) -> bool {
        self.left.is_some() && self.right.is_some()
    }
}

/// A step in both runs.
#[derive(Debug)]
struct StepTrack {
    /// The step; empty: the run itself.
    step: String,
    left: StepFigures,
    right: StepFigures,
    rows: Vec<TrackRow>,
    left_out: usize,
    /// The events at which the tracks part; none on one side: it has no more.
    parts: Option<(Option<u64>, Option<u64>)>,
    /// What is different in the step's output.
    output: Tree,
}

impl StepTrack {
    fn name(&self) -> &str {
        match self.step.as_str() {
            "" => "the run",
            ADMISSION => "admission",
            step => step,
        }
    }
}

/// Where two runs part.
#[derive(Debug, Clone)]
struct Parting {
    step: String,
    name: String,
    left: Option<TrackCell>,
    right: Option<TrackCell>,
}

#[derive(Template)]
#[template(path = "debugger/runs.html")]
struct RunsPage {
    frame: Frame,
    head: RunHead,
    left: Side,
    right: Side,
    parting: Option<Parting>,
    tracks: Vec<StepTrack>,
    input: Tree,
    output: Tree,
}

impl RunsPage {
    fn at(&self, side: &Side, version: &u64) -> String {
        self.frame.to(format!("/runs/{}/debug?version={version}", side.facts.short_id))
    }

    fn run_path(&self, side: &Side) -> String {
        self.frame.to(format!("/runs/{}", side.facts.short_id))
    }

    /// Whether a step is the one at which the runs part.
    fn is_parting(&self, track: &StepTrack) -> bool {
        self.parting.as_ref().is_some_and(|parting| parting.step == track.step)
    }

    /// The same comparison from the other side.
    fn turned(&self) -> String {
        let path = format!("/runs/{}/compare", self.right.facts.short_id);
        self.frame.to(with_query(&path, "with", &self.left.facts.short_id))
    }

    fn took(&self, side: &Side) -> String {
        side.took()
    }

    fn cost(&self, side: &Side) -> String {
        crate::words::usd(side.view["usage"]["cost_usd"].as_str().unwrap_or("0"))
    }

    fn title<'a>(&self, side: &'a Side) -> &'a str {
        side.facts.title.as_deref().unwrap_or(&side.facts.pipeline)
    }

    fn is_of_one_definition(&self) -> bool {
        self.left.view["definition"] == self.right.view["definition"]
    }
}

/// The page of two runs.
pub(super) async fn page(visit: Visit, head: RunHead, other: &str) -> Result<Response, Problem> {
    let other_path = match &visit.at {
        None => format!("/runs/{other}"),
        Some(_) => visit.at_moment(&format!("/runs/{other}/state")),
    };
    let other: Value = visit.rest.get(&other_path).await?;
    let (left, right) = futures::try_join!(side(&visit, head.view.clone()), side(&visit, other),)?;
    let tracks = tracks(&left, &right);
    let mut frame = head.frame(&visit);
    frame.live = false;
    let page = RunsPage {
        frame,
        head,
        parting: parting(&left, &right, &tracks),
        input: Tree::of(&left.view["input"], &right.view["input"], &[]),
        output: Tree::of(&ends(&left.view), &ends(&right.view), &[]),
        tracks,
        left,
        right,
    };
    Ok(Html(page).into_response())
}

fn ends(view: &Value) -> Value {
    serde_json::json!({ "status": view["status"], "output": view["output"], "failure": view["failure"] })
}

/// The history of a run up to the shown moment.
async fn side(visit: &Visit, view: Value) -> Result<Side, Problem> {
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

/// What an event says of the course of its run: what is different in any two runs, such as times and hashes, is left
/// out.
fn course(event: &PastEvent) -> String {
    let failure = &event.event["failure"];
    let parts = [
        event.kind(),
        &event.place(),
        &event.turn(),
        event.gate().unwrap_or_default(),
        event.verdict().unwrap_or_default(),
        event.text("vote").unwrap_or_default(),
        failure["kind"].as_str().unwrap_or_default(),
        &failure["exit_code"].to_string(),
        event.text("route").unwrap_or_default(),
        event.text("name").unwrap_or_default(),
    ];
    parts.join("\u{1f}")
}

fn tracks(left: &Side, right: &Side) -> Vec<StepTrack> {
    let mut steps: Vec<String> = Vec::new();
    for view in [&left.view, &right.view] {
        for step in view["steps"].as_array().into_iter().flatten() {
            let id = step["id"].as_str().unwrap_or_default();
            if !steps.iter().any(|known| known == id) {
                steps.push(id.to_owned());
            }
        }
    }
    // What is of the run itself stands behind its steps.
    steps.push(String::new());
    if [left, right].iter().any(|side| side.events.iter().any(|event| event.step() == Some(ADMISSION))) {
        steps.push(ADMISSION.to_owned());
    }
    let of_step = |side: &'_ Side, step: &str| -> Vec<PastEvent> {
        let known = |event: &PastEvent| {
            event.step().filter(|step| !step.starts_with('$') || *step == ADMISSION).unwrap_or_default()
                == step
        };
        let mut events: Vec<PastEvent> = side
            .events
            .iter()
            .filter(|event| !APART.contains(&event.kind()) && known(event))
            .cloned()
            .collect();
        // A fork is admitted and gets its workspace once more.
        let forked = side
            .events
            .iter()
            .find(|event| event.kind() == "RunForked")
            .map_or(u64::MAX, |event| event.version);
        events.retain(|event| {
            event.version < forked || !(step == ADMISSION || event.kind() == "WorkspacePrepared")
        });
        // What is asked for again, by a poll or in a fork, is no other course.
        events.dedup_by_key(|event| course(event));
        events
    };
    steps
        .into_iter()
        .map(|step| track(&step, (left, &of_step(left, &step)), (right, &of_step(right, &step))))
        .collect()
}

fn track(
    step: &str,
    (left, ones): (&Side, &[PastEvent]),
    (right, others): (&Side, &[PastEvent]),
) -> StepTrack {
    let (rows, parts) = aligned(ones, others);
    let left_out = rows.len().saturating_sub(ROWS_MAX);
    let (left, right) = (figures(left, step, ones), figures(right, step, others));
    StepTrack {
        step: step.to_owned(),
        output: Tree::of(&plain(&left.output), &plain(&right.output), &[]),
        left,
        right,
        rows: rows.into_iter().take(ROWS_MAX).collect(),
        left_out,
        parts,
    }
}

/// Two texts are compared as lines.
fn plain(output: &Value) -> Value {
    if output.is_object() { output.clone() } else { serde_json::json!({ "output": output }) }
}

/// Two versions, one of each run.
type VersionPair = (Option<u64>, Option<u64>);

fn aligned(ones: &[PastEvent], others: &[PastEvent]) -> (Vec<TrackRow>, Option<VersionPair>) {
    let (a, b): (Vec<String>, Vec<String>) =
        (ones.iter().map(course).collect(), others.iter().map(course).collect());
    let (mut rows, mut parts) = (Vec::new(), None);
    for op in capture_diff_slices(Algorithm::Myers, &a, &b) {
        let (tag, old, new) = op.as_tag_tuple();
        if tag != DiffTag::Equal && parts.is_none() {
            parts = Some((
                ones.get(old.start).map(|event| event.version),
                others.get(new.start).map(|event| event.version),
            ));
        }
        if tag == DiffTag::Equal {
            let pairs = ones[old].iter().zip(&others[new]);
            rows.extend(
                pairs.map(|(one, other)| TrackRow { left: Some(cell(one)), right: Some(cell(other)) }),
            );
            continue;
        }
        rows.extend(ones[old].iter().map(|one| TrackRow { left: Some(cell(one)), right: None }));
        rows.extend(others[new].iter().map(|other| TrackRow { left: None, right: Some(cell(other)) }));
    }
    (rows, parts)
}

fn cell(event: &PastEvent) -> TrackCell {
    let said = super::tree::clipped(&event.said(), 120);
    TrackCell { version: event.version, said, tone: event.tone().class() }
}

fn figures(side: &Side, step: &str, events: &[PastEvent]) -> StepFigures {
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
    let attempts = events.iter().filter(|event| matches!(event.kind(), "AttemptStarted")).count();
    let turns = match (number("round"), attempts) {
        (0, _) => String::new(),
        (round, 0) => format!("round {round}"),
        (round, attempts) => format!("round {round}, {attempts}×"),
    };
    let took = took(side, events);
    let ended = events.iter().rev().find(|event| !event.event["output"].is_null());
    StepFigures {
        status: view["status"].as_str().unwrap_or_default().to_owned(),
        turns,
        took,
        cost: cost(side, |event| event.step() == Some(step)),
        output: ended.map(|event| event.event["output"].clone()).unwrap_or_default(),
    }
}

/// How long a step's events take from the first to the last, without the time that lies between a fork and what it
/// copied.
fn took(side: &Side, events: &[PastEvent]) -> String {
    let forked =
        side.events.iter().find(|event| event.kind() == "RunForked").map_or(0, |event| event.version);
    let at = |event: &PastEvent| crate::words::millis(&event.recorded_at).unwrap_or_default();
    let spans = events.windows(2).filter(|pair| !(pair[0].version < forked && forked <= pair[1].version));
    if events.is_empty() {
        String::new()
    } else {
        crate::words::duration(spans.map(|pair| at(&pair[1]) - at(&pair[0])).sum())
    }
}

/// What the events say was spent, as it is written; empty where that is nothing.
fn cost(side: &Side, is_wanted: impl Fn(&PastEvent) -> bool) -> String {
    let uses = side.events.iter().filter(|event| event.kind() == "UsageRecorded" && is_wanted(event));
    let micros: u64 = uses.filter_map(|event| event.event["usage"]["cost_micros"].as_u64()).sum();
    if micros == 0 {
        String::new()
    } else {
        crate::words::usd(&format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000))
    }
}

/// The earliest place where a step's tracks part; where none does, that of the run or its admission, which differ in
/// every fork.
fn parting(left: &Side, right: &Side, tracks: &[StepTrack]) -> Option<Parting> {
    let parted = tracks.iter().filter_map(|track| Some((track, track.parts?)));
    let (track, (one, other)) = parted.min_by_key(|(track, (one, other))| {
        let is_of_step = !track.step.is_empty() && track.step != ADMISSION;
        (!is_of_step, one.unwrap_or(u64::MAX).min(other.unwrap_or(u64::MAX)))
    })?;
    let named = |side: &Side, version: Option<u64>| {
        side.events.iter().find(|event| Some(event.version) == version).map(cell)
    };
    Some(Parting {
        step: track.step.clone(),
        name: track.name().to_owned(),
        left: named(left, one),
        right: named(right, other),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events(kinds: &[(&str, &str)]) -> Vec<PastEvent> {
        let of = |(at, (kind, verdict)): (usize, &(&str, &str))| {
            serde_json::from_value(json!({
                "version": at + 1, "recorded_at": "2026-11-22T10:00:00Z", "actor": "engine",
                "cause": { "input": "x", "because": 0 },
                "event": { "type": kind, "verdict": verdict, "id": { "path": { "step": "a" }, "round": 1, "attempt": 1 } },
            }))
            .expect("the shape of an event")
        };
        kinds.iter().enumerate().map(of).collect()
    }

    #[test]
    fn runs_part_at_the_first_event_that_differs() {
        let one = events(&[("StepScheduled", ""), ("GateEvaluated", "fail"), ("ReworkRequested", "")]);
        let other = events(&[("StepScheduled", ""), ("GateEvaluated", "pass")]);
        let (rows, parts) = aligned(&one, &other);
        assert_eq!(parts, Some((Some(2), Some(2))));
        assert!(rows[0].is_same() && !rows[1].is_same());
        assert_eq!(aligned(&one, &one).1, None);
    }

    #[test]
    fn a_run_that_stops_earlier_parts_where_it_has_no_more() {
        let one = events(&[("StepScheduled", ""), ("AttemptStarted", "")]);
        assert_eq!(aligned(&one[..1], &one).1, Some((None, Some(2))));
    }
}

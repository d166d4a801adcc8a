//! The events of a step in two runs side by side, and where they part.
//!
//! Steps go on beside each other, so the order of all events says little: the events of each step are compared with
//! those of the same step in the other run. Where the earliest of these tracks differs, the runs part.

use serde_json::Value;
use similar::{Algorithm, DiffTag, capture_diff_slices};

use super::event::PastEvent;
use super::side::{Side, StepFigures, figures};
use super::tree::Tree;

/// Rows of one step that are drawn.
const ROWS_MAX: usize = 120;
/// Events that say nothing of what a run did: waiting, counting, what a fork does to begin, and the beginning of work,
/// which is not recorded where work is over at once.
const APART: [&str; 26] = [
    "AttemptStarted",
    "ChildStarted",
    "ProbeScheduled",
    "StopRequested",
    "WorktreeReset",
    "WorkspaceShared",
    "UsageRecorded",
    "NoticeQueued",
    "NoticeSent",
    "NoticeFailed",
    "SpendReported",
    "ClockRead",
    "WorkspaceRemoved",
    "ProgressReported",
    "SearchSet",
    "WorkSpared",
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
/// Events that tell how the run itself ended, though they name the step that was the cause.
const ENDS: [&str; 4] = ["RunFailed", "RunSucceeded", "RunCancelled", "RunAbandoned"];
/// The step of the gates that admit a run.
const ADMISSION: &str = "$admit";

/// An event of one side, in a row.
#[derive(Debug, Clone)]
pub(super) struct TrackCell {
    pub(super) version: u64,
    pub(super) said: String,
    pub(super) tone: &'static str,
}

/// A row of a step's events: of both sides, or of one alone.
#[derive(Debug, Clone)]
pub(super) struct TrackRow {
    pub(super) left: Option<TrackCell>,
    pub(super) right: Option<TrackCell>,
    /// Both sides did the same, but for what it gave.
    pub(super) is_other_output: bool,
}

impl TrackRow {
    fn of(one: Option<&PastEvent>, other: Option<&PastEvent>) -> Self {
        let is_other_output = one.zip(other).is_some_and(|(one, other)| gave(one) != gave(other));
        Self { left: one.map(cell), right: other.map(cell), is_other_output }
    }

    pub(super) fn is_same(&self) -> bool {
        self.left.is_some() && self.right.is_some() && !self.is_other_output
    }
}

/// Where the events of a step part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TrackParting {
    /// The version on each side; none: it has no more.
    pub(super) versions: (Option<u64>, Option<u64>),
    /// Only what the step gave is another.
    pub(super) is_output: bool,
    /// One side has not come so far, and goes on.
    pub(super) is_open: bool,
}

/// A step in both runs.
#[derive(Debug)]
pub(super) struct StepTrack {
    /// The step; empty: the run itself.
    pub(super) step: String,
    pub(super) left: StepFigures,
    pub(super) right: StepFigures,
    pub(super) rows: Vec<TrackRow>,
    pub(super) left_out: usize,
    /// Where the tracks part.
    pub(super) parts: Option<TrackParting>,
    /// What is different in the step's output.
    pub(super) output: Tree,
    /// The run whose pipeline has no such step.
    pub(super) lacking: Option<RunName>,
}

/// Which of the two runs, as the page calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunName {
    A,
    B,
}

impl StepTrack {
    pub(super) fn name(&self) -> &str {
        match self.step.as_str() {
            "" => "the run",
            ADMISSION => "admission",
            step => step,
        }
    }

    /// What is different between both sides, with its colour.
    pub(super) fn difference(&self) -> (&'static str, &'static str) {
        match (self.lacking, self.parts) {
            (Some(RunName::A), _) => ("tone-blocked", "~ A has no such step"),
            (Some(RunName::B), _) => ("tone-blocked", "~ B has no such step"),
            (None, parts) => self.parted(parts),
        }
    }

    fn parted(&self, parts: Option<TrackParting>) -> (&'static str, &'static str) {
        match parts {
            Some(TrackParting { is_open: true, .. }) => ("tone-waiting", "~ not so far"),
            Some(TrackParting { is_output: false, .. }) => ("tone-blocked", "~ another course"),
            None if self.left.status != self.right.status => ("tone-blocked", "~ another status"),
            Some(_) => ("tone-waiting", "~ another output"),
            None if self.output.changes > 0 => ("tone-waiting", "~ another output"),
            None => ("muted", "the same"),
        }
    }
}

/// Where two runs part.
#[derive(Debug, Clone)]
pub(super) struct Parting {
    pub(super) step: String,
    pub(super) name: String,
    pub(super) left: Option<TrackCell>,
    pub(super) right: Option<TrackCell>,
    pub(super) is_output: bool,
    /// The run whose pipeline has no such step.
    lacking: Option<RunName>,
}

impl Parting {
    /// Why a run has nothing there.
    pub(super) fn nothing_of(&self, run: RunName, side: &Side) -> &'static str {
        match self.lacking {
            Some(lacking) if lacking == run => "its pipeline has no such step",
            _of_both if side.goes_on() => "it has not come so far",
            _of_both => "nothing more happens there",
        }
    }
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

/// The steps of both runs, each with its events side by side; what is of the run itself stands behind them.
pub(super) fn tracks(left: &Side, right: &Side) -> Vec<StepTrack> {
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
    steps
        .into_iter()
        .map(|step| track(&step, (left, &of_step(left, &step)), (right, &of_step(right, &step))))
        .collect()
}

/// What a step did in a run, by its events.
fn of_step(side: &Side, step: &str) -> Vec<PastEvent> {
    let of = |event: &PastEvent| match event.step() {
        Some(_) if ENDS.contains(&event.kind()) => String::new(),
        Some(step) if !step.starts_with('$') || step == ADMISSION => step.to_owned(),
        _of_the_run => String::new(),
    };
    let known = |event: &&PastEvent| !APART.contains(&event.kind()) && of(event) == step;
    let mut events: Vec<PastEvent> = side.events.iter().filter(known).cloned().collect();
    // A fork is admitted and gets its workspace once more.
    let forked = side.events.iter().find(|event| event.kind() == "RunForked");
    let forked = forked.map_or(u64::MAX, |event| event.version);
    events.retain(|event| {
        event.version < forked || !(step == ADMISSION || event.kind() == "WorkspacePrepared")
    });
    order_items(&mut events);
    // What is asked for again, by a poll or in a fork, is no other course.
    events.dedup_by_key(|event| (course(event), gave(event).clone()));
    events
}

/// By round, then the step's begin, its items, what comes behind them; items by their number.
type ItemOrder = (u64, u8, Option<u64>);

/// Items go on beside each other: which of them is faster is no other course, so each round lists them in their order.
fn order_items(events: &mut Vec<PastEvent>) {
    let item = |event: &PastEvent| {
        event.event["id"]["path"]["item"].as_u64().or(event.event["path"]["item"].as_u64())
    };
    if events.iter().all(|event| item(event).is_none()) {
        return;
    }
    let mut round = 0;
    let mut keyed: Vec<(ItemOrder, PastEvent)> = Vec::with_capacity(events.len());
    for event in events.drain(..) {
        let own = event.event["id"]["round"].as_u64().or_else(|| event.event["round"].as_u64());
        round = own.unwrap_or(round).max(round);
        let place = match item(&event) {
            Some(_) => 1,
            None if matches!(event.kind(), "StepScheduled" | "ItemsExpanded") => 0,
            None => 2,
        };
        keyed.push(((round, place, item(&event)), event));
    }
    keyed.sort_by_key(|(key, _)| *key);
    events.extend(keyed.into_iter().map(|(_, event)| event));
}

/// What an event brought: the output of work, or the items of a step.
fn gave(event: &PastEvent) -> &Value {
    match &event.event["output"] {
        Value::Null => &event.event["items"],
        output => output,
    }
}

fn track(
    step: &str,
    (left, ones): (&Side, &[PastEvent]),
    (right, others): (&Side, &[PastEvent]),
) -> StepTrack {
    let (rows, mut parts) = aligned(ones, others);
    let lacking = lacking(step, left, right);
    if let Some(parts) = parts.as_mut().filter(|_| lacking.is_none()) {
        parts.is_open = match parts.versions {
            (None, Some(_)) => left.goes_on(),
            (Some(_), None) => right.goes_on(),
            _both => false,
        };
    }
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
        lacking,
    }
}

/// The run whose pipeline has no such step. The run itself, and its admission, are no steps.
fn lacking(step: &str, left: &Side, right: &Side) -> Option<RunName> {
    let has = |side: &Side| {
        side.view["steps"].as_array().is_some_and(|steps| steps.iter().any(|known| known["id"] == step))
    };
    match (has(left), has(right)) {
        (false, true) => Some(RunName::A),
        (true, false) => Some(RunName::B),
        _both_or_none => None,
    }
}

/// Two texts are compared as lines.
fn plain(output: &Value) -> Value {
    if output.is_object() { output.clone() } else { serde_json::json!({ "output": output }) }
}

fn aligned(ones: &[PastEvent], others: &[PastEvent]) -> (Vec<TrackRow>, Option<TrackParting>) {
    let (a, b): (Vec<String>, Vec<String>) =
        (ones.iter().map(course).collect(), others.iter().map(course).collect());
    let (mut rows, mut parts) = (Vec::new(), None);
    for op in capture_diff_slices(Algorithm::Myers, &a, &b) {
        let (tag, old, new) = op.as_tag_tuple();
        if tag != DiffTag::Equal {
            parts.get_or_insert(TrackParting {
                versions: (
                    ones.get(old.start).map(|event| event.version),
                    others.get(new.start).map(|event| event.version),
                ),
                is_output: false,
                is_open: false,
            });
            rows.extend(ones[old].iter().map(|one| TrackRow::of(Some(one), None)));
            rows.extend(others[new].iter().map(|other| TrackRow::of(None, Some(other))));
            continue;
        }
        for (one, other) in ones[old].iter().zip(&others[new]) {
            let row = TrackRow::of(Some(one), Some(other));
            if row.is_other_output {
                parts.get_or_insert(TrackParting {
                    versions: (Some(one.version), Some(other.version)),
                    is_output: true,
                    is_open: false,
                });
            }
            rows.push(row);
        }
    }
    (rows, parts)
}

fn cell(event: &PastEvent) -> TrackCell {
    let said = super::tree::clipped(&event.said(), 120);
    TrackCell { version: event.version, said, tone: event.tone().class() }
}

/// The earliest place where a step did something else; where none did, where one side has not come so far, or where the
/// run or its admission differ, as they do in every fork.
pub(super) fn parting(left: &Side, right: &Side, tracks: &[StepTrack]) -> Option<Parting> {
    let parted = tracks.iter().filter_map(|track| Some((track, track.parts?)));
    let (track, parts) = parted.min_by_key(|(track, parts)| {
        let is_of_step = !track.step.is_empty() && track.step != ADMISSION;
        let (one, other) = parts.versions;
        (parts.is_open, !is_of_step, one.unwrap_or(u64::MAX).min(other.unwrap_or(u64::MAX)))
    })?;
    let (one, other) = parts.versions;
    let named = |side: &Side, version: Option<u64>| {
        side.events.iter().find(|event| Some(event.version) == version).map(cell)
    };
    Some(Parting {
        step: track.step.clone(),
        name: track.name().to_owned(),
        left: named(left, one),
        right: named(right, other),
        is_output: parts.is_output,
        lacking: track.lacking,
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::json;

    use super::super::side::SideFacts;
    use super::*;

    fn event(version: usize, event: Value) -> PastEvent {
        serde_json::from_value(json!({
            "version": version, "recorded_at": "2026-11-22T10:00:00Z", "actor": "engine",
            "cause": { "input": "x", "because": 0 }, "event": event,
        }))
        .expect("the shape of an event")
    }

    fn events(kinds: &[(&str, &str)]) -> Vec<PastEvent> {
        let of = |(at, (kind, verdict)): (usize, &(&str, &str))| {
            let id = json!({ "path": { "step": "a" }, "round": 1, "attempt": 1 });
            event(at + 1, json!({ "type": kind, "verdict": verdict, "id": id }))
        };
        kinds.iter().enumerate().map(of).collect()
    }

    fn side(ended_at: Option<&str>, events: Vec<PastEvent>) -> Side {
        let view = json!({
            "id": "r", "short_id": "r", "pipeline": "p", "title": null, "status": "running", "version": 9,
            "started_by": "ada", "started_at": "2026-11-22T10:00:00Z", "ended_at": ended_at,
            "steps": [
                { "id": "docs", "status": "succeeded" },
                { "id": "unit", "status": "running", "started_at": "2026-11-22T10:00:00Z" },
            ],
        });
        let facts = SideFacts::deserialize(&view).expect("the shape of a run");
        let then = Some("2026-11-22T10:05:00Z".to_owned());
        Side { facts, view, events, is_cut: false, then }
    }

    fn of(step: &str, kind: &str, more: Value) -> Value {
        let mut event = json!({ "type": kind, "id": { "path": { "step": step }, "round": 1, "attempt": 1 } });
        if let (Some(fields), Some(more)) = (event.as_object_mut(), more.as_object()) {
            fields.extend(more.clone());
        }
        event
    }

    #[test]
    fn runs_part_at_the_first_event_that_differs() {
        let one = events(&[("StepScheduled", ""), ("GateEvaluated", "fail"), ("ReworkRequested", "")]);
        let other = events(&[("StepScheduled", ""), ("GateEvaluated", "pass")]);
        let (rows, parts) = aligned(&one, &other);
        assert_eq!(parts.map(|parts| parts.versions), Some((Some(2), Some(2))));
        assert!(rows[0].is_same() && !rows[1].is_same());
        assert_eq!(aligned(&one, &one).1, None);
    }

    #[test]
    fn a_run_that_stops_earlier_parts_where_it_has_no_more() {
        let one = events(&[("StepScheduled", ""), ("AttemptSucceeded", "")]);
        assert_eq!(aligned(&one[..1], &one).1.map(|parts| parts.versions), Some((None, Some(2))));
    }

    #[test]
    fn a_beginning_that_was_not_recorded_is_no_other_course() {
        let fast = vec![
            event(1, of("docs", "StepScheduled", json!({}))),
            event(2, of("docs", "AttemptSucceeded", json!({ "output": "a" }))),
            event(3, of("unit", "AttemptFailed", json!({ "failure": { "kind": "exit", "exit_code": 1 } }))),
        ];
        let slow = vec![
            event(1, of("docs", "StepScheduled", json!({}))),
            event(2, of("docs", "AttemptStarted", json!({}))),
            event(3, of("docs", "AttemptSucceeded", json!({ "output": "a" }))),
            event(4, of("unit", "AttemptSucceeded", json!({ "output": "7 passed" }))),
        ];
        let (left, right) = (side(None, fast), side(None, slow));
        let tracks = tracks(&left, &right);
        assert_eq!(tracks[0].difference().1, "the same");
        assert_eq!(parting(&left, &right, &tracks).map(|parting| parting.step), Some("unit".to_owned()));
    }

    #[test]
    fn another_output_is_a_difference_of_its_own() {
        let gave = |output: &str| vec![event(1, of("docs", "AttemptSucceeded", json!({ "output": output })))];
        let (left, right) = (side(None, gave("a")), side(None, gave("b")));
        let tracks = tracks(&left, &right);
        assert_eq!(tracks[0].difference().1, "~ another output");
        assert!(parting(&left, &right, &tracks).is_some_and(|parting| parting.is_output));
    }

    #[test]
    fn which_item_is_faster_is_no_other_course() {
        let item = |version, item: u64| {
            event(
                version,
                json!({ "type": "AttemptSucceeded", "output": item,
                "id": { "path": { "step": "docs", "item": item }, "round": 1, "attempt": 1 } }),
            )
        };
        let (left, right) =
            (side(None, vec![item(1, 0), item(2, 1)]), side(None, vec![item(1, 1), item(2, 0)]));
        assert!(parting(&left, &right, &tracks(&left, &right)).is_none());
    }

    #[test]
    fn the_end_of_a_run_is_of_the_run_and_not_of_the_step_that_failed() {
        let failed = event(
            5,
            json!({ "type": "RunFailed", "path": { "step": "unit" },
            "failure": { "kind": "exit", "exit_code": 1 } }),
        );
        let (left, right) = (side(Some("2026-11-22T10:00:00Z"), vec![failed]), side(None, Vec::new()));
        let tracks = tracks(&left, &right);
        let run = tracks.iter().find(|track| track.step.is_empty()).expect("a track of the run");
        assert_eq!(run.difference().1, "~ not so far");
        assert!(tracks.iter().all(|track| track.step.is_empty() || track.parts.is_none()));
    }

    /// It said "not so far" of what could never come.
    #[test]
    fn a_step_of_one_pipeline_alone_is_told_as_that() {
        let (mut left, right) = (side(None, Vec::new()), side(None, Vec::new()));
        left.events = vec![event(1, of("lint", "StepScheduled", json!({})))];
        left.view["steps"].as_array_mut().unwrap().push(json!({ "id": "lint", "status": "running" }));
        let of_lint = |left: &Side, right: &Side| {
            let tracks = tracks(left, right);
            let lint = tracks.iter().find(|track| track.step == "lint").map(|track| track.difference().1);
            (lint.unwrap(), parting(left, right, &tracks))
        };
        let (said, parting) = of_lint(&left, &right);
        assert_eq!(said, "~ B has no such step");
        let parting = parting.expect("they part there");
        assert_eq!(parting.nothing_of(RunName::B, &right), "its pipeline has no such step");
        assert_eq!(of_lint(&right, &left).0, "~ A has no such step");
        // One that did not begin is none of the other pipeline either.
        left.events.clear();
        let (said, parting) = of_lint(&left, &right);
        assert_eq!((said, parting.is_none()), ("~ B has no such step", true));
        left.events = vec![event(1, of("docs", "StepScheduled", json!({})))];
        let tracks = tracks(&left, &right);
        assert_eq!(tracks[0].difference().1, "~ not so far");
        let parting = super::parting(&left, &right, &tracks).expect("one is not so far");
        assert_eq!(parting.nothing_of(RunName::B, &right), "it has not come so far");
    }

    #[test]
    fn a_step_that_goes_on_takes_until_the_shown_moment() {
        let waits = side(None, vec![event(1, of("unit", "ApprovalRequested", json!({})))]);
        assert_eq!(tracks(&waits, &waits)[1].left.took, "5 m 00 s");
    }
}

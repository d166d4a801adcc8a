//! One version of a run: the events around it, the state with what the event changed, and why it happened.

use serde::Deserialize;
use serde_json::Value;

use super::event::{EventTone, PastEvent};
use super::looked;
use super::policy::RejudgedGate;
use super::state_fields::{FIELDS_APART, FIELDS_FIRST};
use super::today::TodayAnswer;
use super::tree::Tree;
use super::why::EventReasons;
use crate::frame::with_query;
use crate::problem::Problem;
use crate::rest::CallerRest;

/// Events that are read before the one that is shown: what ordered it is among them, but for long waits.
const READ_BEFORE: u64 = 60;
/// Events that are listed before it.
const BEFORE: u64 = 12;
/// Events that are listed from it on.
const BEHIND: u64 = 20;
/// A list of REST.
#[derive(Debug, Deserialize)]
pub(crate) struct ListAnswer<T> {
    pub(crate) items: Vec<T>,
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
}

/// An event in the list beside the state.
#[derive(Debug, Clone)]
pub(crate) struct NearVersion {
    pub(crate) version: u64,
    pub(crate) path: String,
    pub(crate) tone: EventTone,
    pub(crate) place: String,
    pub(crate) said: String,
    /// How long after the event before; empty where that is nothing.
    pub(crate) later: String,
    pub(crate) is_shown: bool,
    /// Whether it is of the same decision as the row above.
    pub(crate) is_of_above: bool,
}

/// A version of a run.
#[derive(Debug, Clone)]
pub(crate) struct VersionStep {
    /// The address of the run's pages.
    pub(crate) run_path: String,
    pub(crate) version: u64,
    pub(crate) event: PastEvent,
    pub(crate) rows: Vec<NearVersion>,
    pub(crate) tree: Tree,
    pub(crate) why: EventReasons,
    pub(crate) status: String,
    pub(crate) started_at: String,
    pub(crate) pipeline: String,
    /// What another policy says of this gate's evidence, where one was asked for.
    pub(crate) rejudged: Option<RejudgedGate>,
    /// The policy that was asked for, as it was typed.
    pub(crate) policy: String,
    /// What today's definition decides here, where that was asked for.
    pub(crate) today: Option<Result<TodayAnswer, Problem>>,
}

impl VersionStep {
    /// Reads a version of a run by three calls at once: its state, the state before, and the events around.
    pub(crate) async fn load(rest: &CallerRest, run: &str, version: u64) -> Result<Self, Problem> {
        let from = version.saturating_sub(READ_BEFORE).max(1);
        let (now, before, around) = (
            format!("/runs/{run}/state?version={version}"),
            format!("/runs/{run}/state?version={}", (version - 1).max(1)),
            format!("/runs/{run}/events?from={from}&limit={}", version - from + BEHIND),
        );
        let (now, before, around) = futures::try_join!(
            rest.get::<Value>(&now),
            rest.get::<Value>(&before),
            rest.get::<ListAnswer<PastEvent>>(&around)
        )?;
        let events = around.items;
        let event = events.iter().find(|event| event.version == version).cloned();
        let event = event.ok_or_else(|| Problem::not_found(format!("the run has no version {version}")))?;
        let mut why = EventReasons::of(&event, &events, &now["input"]);
        why.looked = looked::expressions(rest, run, &event, &events, &before).await;
        let short = now["short_id"].as_str().unwrap_or(run);
        let run_path = format!("/runs/{short}");
        let text = |field: &str| now[field].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            rows: rows(&run_path, &events, version),
            why,
            status: text("status"),
            started_at: text("started_at"),
            pipeline: text("pipeline"),
            tree: Tree::of(&drawn(before), &drawn(now), &FIELDS_FIRST),
            run_path,
            version,
            event,
            rejudged: None,
            policy: String::new(),
            today: None,
        })
    }

    /// Leaves out what came later than the shown moment.
    pub(crate) fn keep_until(&mut self, last: u64) {
        self.rows.retain(|row| row.version <= last);
        self.why.led_to.retain(|link| link.version <= last);
        self.why.together.retain(|link| link.version <= last);
    }

    /// The address of a version in the debugger.
    pub(crate) fn at(&self, version: &u64) -> String {
        format!("{}/debug?version={version}", self.run_path)
    }

    /// The headline: what happened, with the step in front.
    pub(crate) fn headline(&self) -> String {
        match self.event.place() {
            place if place.is_empty() => self.event.said(),
            place => format!("{place} · {}", self.event.said()),
        }
    }

    /// How long after the start.
    pub(crate) fn since_start(&self) -> String {
        crate::words::took(&self.started_at, Some(&self.event.recorded_at))
    }

    /// Where a fork from this version is made.
    pub(crate) fn fork_path(&self) -> String {
        format!("{}/act/fork?version={}", self.run_path, self.version)
    }

    /// Where a breakpoint on this event's step is set; none where it is of no step of the pipeline.
    pub(crate) fn breakpoint_path(&self) -> Option<String> {
        let step = self.event.step().filter(|step| !step.starts_with('$'))?;
        Some(with_query(&format!("{}/act/breakpoints", self.run_path), "step", step))
    }

    /// Where this version is decided by today's definition.
    pub(crate) fn today_path(&self) -> String {
        format!("{}/debug?version={}&today=1", self.run_path, self.version)
    }

    /// Where this version is compared with another one.
    pub(crate) fn compare_path(&self) -> String {
        format!("{}/compare?from={}", self.run_path, self.version)
    }

    /// The page of the step that the event is about.
    pub(crate) fn step_path(&self) -> Option<String> {
        let step = self.event.step().filter(|step| !step.starts_with('$'))?;
        Some(with_query(&self.run_path, "step", step))
    }
}

/// What the tree shows of a run.
fn drawn(mut view: Value) -> Value {
    if let Some(fields) = view.as_object_mut() {
        fields.retain(|name, _| !FIELDS_APART.contains(&name.as_str()));
    }
    view
}

fn rows(run_path: &str, events: &[PastEvent], shown: u64) -> Vec<NearVersion> {
    let mut rows = Vec::with_capacity(events.len());
    let mut above: Option<&PastEvent> = None;
    for event in events.iter().filter(|event| event.version + BEFORE >= shown) {
        let gap = above.map_or(0, |above| {
            let at = |event: &PastEvent| crate::words::millis(&event.recorded_at).unwrap_or_default();
            at(event) - at(above)
        });
        rows.push(NearVersion {
            version: event.version,
            path: format!("{run_path}/debug?version={}", event.version),
            tone: event.tone(),
            place: event.place(),
            said: super::tree::clipped(&event.said(), 120),
            later: if gap > 0 { format!("+{}", crate::words::duration(gap)) } else { String::new() },
            is_shown: event.version == shown,
            is_of_above: above.is_some_and(|above| above.cause.input == event.cause.input),
        });
        above = Some(event);
    }
    rows
}

//! What took time in a run: attempts, people, waits, and the gates that were judged.

use std::collections::HashMap;

use serde::Deserialize;

use super::event::{Event, StepPlace};
use super::facts::{RunFacts, StepFacts};
use crate::words::millis;

/// `GET /runs/{run}/timeline`: one attempt.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AttemptFacts {
    pub(crate) step: String,
    pub(crate) round: u32,
    pub(crate) attempt: u32,
    pub(crate) kind: String,
    pub(crate) scheduled_at: String,
    pub(crate) started_at: Option<String>,
    pub(crate) end: Option<AttemptEnd>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AttemptEnd {
    pub(crate) at: String,
    pub(crate) failure: Option<super::facts::FailureFacts>,
    pub(crate) log: Option<LogFacts>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogFacts {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

impl AttemptFacts {
    /// As readers see it: a run that was started works from then on, though no event says that it began.
    pub(crate) fn seen(mut self, run: &RunFacts) -> Self {
        let is_run = self.kind == "run" || run.step(&self.step).is_some_and(|step| step.kind == "run");
        if is_run && self.started_at.is_none() {
            self.started_at = Some(self.scheduled_at.clone());
        }
        self
    }

    /// `2.1`: the second round, the first try.
    pub(crate) fn instance(&self) -> String {
        format!("{}.{}", self.round, self.attempt)
    }

    /// The step without the item.
    pub(crate) fn base(&self) -> &str {
        self.step.split('.').next().unwrap_or(&self.step)
    }

    /// How it stands, as a word of `words::glyph`.
    pub(crate) fn state(&self) -> &'static str {
        match (&self.end, &self.started_at) {
            (Some(end), _) if end.failure.is_some() => "failed",
            (Some(_), _) => "succeeded",
            (None, Some(_)) => "running",
            (None, None) => "queued",
        }
    }

    /// From its begin to its end, in milliseconds; until a moment while it goes on.
    pub(crate) fn took_ms(&self, now: i64) -> i64 {
        let Some(from) = self.started_at.as_deref().and_then(millis) else { return 0 };
        let to = self.end.as_ref().and_then(|end| millis(&end.at)).unwrap_or(now);
        (to - from).max(0)
    }
}

/// What kind of time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanKind {
    /// A machine works.
    Work,
    /// It stands in line.
    Queue,
    /// Somebody is to decide or to answer.
    Human,
    /// A moment or a signal is awaited.
    Wait,
    /// A gate is asked.
    Probe,
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// The step, or an item of it.
    pub(crate) path: String,
    pub(crate) kind: SpanKind,
    pub(crate) state: &'static str,
    pub(crate) instance: String,
    pub(crate) from: i64,
    /// None: it goes on.
    pub(crate) to: Option<i64>,
}

impl Span {
    /// The step without the item.
    pub(crate) fn step(&self) -> &str {
        self.path.split('.').next().unwrap_or(&self.path)
    }
}

/// A gate that was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) step: String,
    pub(crate) at: i64,
    pub(crate) gate: String,
    pub(crate) verdict: String,
    pub(crate) reason: String,
}

/// The spans of machines: of each attempt its time in line and its work.
pub(crate) fn of_attempts(attempts: &[AttemptFacts]) -> Vec<Span> {
    let mut spans = Vec::new();
    for attempt in attempts {
        let Some(scheduled) = millis(&attempt.scheduled_at) else { continue };
        let started = attempt.started_at.as_deref().and_then(millis);
        let end = attempt.end.as_ref().and_then(|end| millis(&end.at));
        let span = |kind, state, from, to| Span {
            path: attempt.step.clone(),
            kind,
            state,
            instance: attempt.instance(),
            from,
            to,
        };
        spans.push(span(SpanKind::Queue, "queued", scheduled, started.or(end)));
        // Work that was over before its begin was told shows at its end.
        if let Some(started) = started.or(end) {
            spans.push(span(SpanKind::Work, attempt.state(), started, end));
        }
    }
    spans
}

/// What begins and ends a time of people or of waiting.
fn turn(event: &Event) -> Option<(SpanKind, bool)> {
    Some(match event.kind() {
        "ApprovalRequested" | "QuestionAsked" | "AttemptAsked" | "StepBlocked" => (SpanKind::Human, true),
        "ApprovalDecided" | "QuestionAnswered" | "RunUnblocked" => (SpanKind::Human, false),
        _other => return None,
    })
}

/// The times of people and waits, by events; what began before them is told by the state.
pub(crate) fn of_waits(events: &[Event], run: &RunFacts) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for event in events {
        let (Some((kind, begins)), Some(place), Some(at)) =
            (turn(event), event.place(), millis(&event.recorded_at))
        else {
            continue;
        };
        let open = spans.iter_mut().rev().find(|span| span.path == place.path && span.to.is_none());
        match (begins, open) {
            (true, None) => spans.push(span_of(&place, kind, at)),
            (true, Some(_)) => {}
            (false, Some(span)) => (span.to, span.state) = (Some(at), "done"),
            (false, None) => {}
        }
    }
    for step in &run.steps {
        spans.extend(of_state(step, &spans, run.ended_at.as_deref()));
    }
    // What still waits when the run or its step ends does not go on.
    for span in spans.iter_mut().filter(|span| span.to.is_none()) {
        let step = run.step(&span.path);
        let waits =
            step.is_some_and(|step| matches!(step.status.as_str(), "waiting" | "blocked" | "running"));
        if run.is_ended() || !waits {
            let end = step.and_then(|step| step.ended_at.as_deref()).or(run.ended_at.as_deref());
            span.to = end.and_then(millis).filter(|end| *end >= span.from).or(Some(span.from));
        }
    }
    spans
}

/// The times of probes: from when a gate is asked until it is judged.
pub(crate) fn of_probes(events: &[Event]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut open: HashMap<(String, String), usize> = HashMap::new();
    for event in events {
        let (Some(place), Some(at)) = (event.place(), millis(&event.recorded_at)) else { continue };
        let key = (place.path.clone(), event.text("gate").to_owned());
        match event.kind() {
            "ProbeScheduled" => {
                open.insert(key, spans.len());
                spans.push(Span { state: "running", ..span_of(&place, SpanKind::Probe, at) });
            }
            "GateEvaluated" | "ProbeFailed" => {
                let asked = open.remove(&key).and_then(|asked| spans.get_mut(asked));
                if let Some(span) = asked {
                    (span.to, span.state) =
                        (Some(at), if event.text("verdict") == "pass" { "succeeded" } else { "failed" });
                }
            }
            _other => {}
        }
    }
    spans
}

fn span_of(place: &StepPlace, kind: SpanKind, from: i64) -> Span {
    let instance = format!("{}.{}", place.round.max(1), place.attempt.max(1));
    Span { path: place.path.clone(), kind, state: "waiting", instance, from, to: None }
}

/// The current round of a step that waits, or of people that no event told of.
fn of_state(step: &StepFacts, known: &[Span], ended_at: Option<&str>) -> Option<Span> {
    let kind = match step.kind.as_str() {
        "approval" | "question" => SpanKind::Human,
        "wait" => SpanKind::Wait,
        _machine => return None,
    };
    let from = millis(step.started_at.as_deref()?)?;
    if step.round == 0 || known.iter().any(|span| span.path == step.id && span.to.is_none_or(|to| to >= from))
    {
        return None;
    }
    let to = step.ended_at.as_deref().or(ended_at).and_then(millis);
    let state = if to.is_some() { "done" } else { "waiting" };
    Some(Span { path: step.id.clone(), kind, state, instance: step.instance(), from, to })
}

/// The gates that were judged.
pub(crate) fn ticks(events: &[Event]) -> Vec<Tick> {
    let judged =
        events.iter().filter(|event| event.kind() == "GateEvaluated" && event.text("verdict") != "skipped");
    judged
        .filter_map(|event| {
            Some(Tick {
                step: event.place()?.step().to_owned(),
                at: millis(&event.recorded_at)?,
                gate: event.text("gate").to_owned(),
                verdict: event.text("verdict").to_owned(),
                reason: crate::visible::visible(event.text("reason")).into_owned(),
            })
        })
        .collect()
}

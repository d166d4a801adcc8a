//! What took time in a run: attempts, people, waits, and the gates that were judged.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Deserialize;

use super::event::{Event, StepPlace};
use super::facts::{RunFacts, StepFacts};
use crate::words::millis;

/// Work that was over within so many milliseconds of being scheduled is drawn from then on, where its begin was recorded
/// too late or not at all.
const QUICK_MS: i64 = 1000;

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
    /// How it ended, where its own end does not say it: that of a run that it started.
    #[serde(skip)]
    pub(crate) ended_as: Option<&'static str>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AttemptEnd {
    pub(crate) at: String,
    pub(crate) failure: Option<super::facts::FailureFacts>,
    pub(crate) log: Option<LogFacts>,
}

impl AttemptEnd {
    /// How work of this kind ended. An attempt that was interrupted or cancelled did not fail by itself; a run does not
    /// end so because one of its own runs did.
    fn state(&self, kind: &str) -> &'static str {
        match &self.failure {
            None => "succeeded",
            Some(failure) if failure.kind == "cancelled" && kind != "run" => {
                if failure.message == "interrupted" { "interrupted" } else { "cancelled" }
            }
            Some(_) => "failed",
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogFacts {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

impl AttemptFacts {
    /// Whether its work is a run of its own.
    pub(crate) fn is_run(&self, run: &RunFacts) -> bool {
        self.kind == "run" || run.step(&self.step).is_some_and(|step| step.kind == "run")
    }

    /// As readers see it: a run that was started works from then on, though no event says that it began, and work that
    /// was over before its begin was recorded did begin.
    pub(crate) fn seen(mut self, run: &RunFacts) -> Self {
        if self.is_run(run) {
            self.kind = "run".to_owned();
            self.started_at.get_or_insert_with(|| self.scheduled_at.clone());
        }
        let began = self.began_at_latest();
        if began.is_some() {
            self.started_at = began;
        }
        self
    }

    /// The begin of work whose end was recorded without one, or with a later one.
    fn began_at_latest(&self) -> Option<String> {
        let end = self.end.as_ref()?;
        let at = millis(&end.at)?;
        let scheduled = millis(&self.scheduled_at)?;
        let is_known = self.started_at.as_deref().and_then(millis).is_some_and(|started| started <= at);
        let did_not_begin = self.started_at.is_none()
            && end
                .failure
                .as_ref()
                .is_some_and(|failure| matches!(failure.kind.as_str(), "cancelled" | "lost" | "spawn"));
        if is_known || did_not_begin {
            return None;
        }
        let is_quick = (0..QUICK_MS).contains(&(at - scheduled));
        Some(if is_quick { self.scheduled_at.clone() } else { end.at.clone() })
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
            (Some(end), _) => self.ended_as.unwrap_or_else(|| end.state(&self.kind)),
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

/// The worst items among these attempts, at most so many: what failed, then what goes on, then what took longest, then by
/// number. Of each item its newest try.
pub(crate) fn worst<'a>(own: &[&'a AttemptFacts], now: i64, most: usize) -> Vec<&'a AttemptFacts> {
    let newest: HashMap<&str, &'a AttemptFacts> =
        own.iter().map(|attempt| (attempt.step.as_str(), *attempt)).collect();
    let mut all: Vec<&'a AttemptFacts> = newest.into_values().collect();
    all.sort_by_cached_key(|it| {
        (it.state() != "failed", it.end.is_some(), Reverse(it.took_ms(now)), number_of(&it.step))
    });
    all.truncate(most);
    all
}

/// The number of an item: `each.12`.
fn number_of(path: &str) -> u64 {
    path.rsplit_once('.').and_then(|(_, item)| item.parse().ok()).unwrap_or(u64::MAX)
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
                    (span.to, span.state) = (Some(at), probed(event));
                }
            }
            _other => {}
        }
    }
    spans
}

/// How a gate that was asked answered; one that does not know yet did not fail.
fn probed(event: &Event) -> &'static str {
    match event.text("verdict") {
        "pass" => "succeeded",
        "pending" => "ended",
        _fails_or_no_answer => "failed",
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::facts::FailureFacts;

    fn second(at: i64) -> String {
        format!("2026-11-22T15:{:02}:{:02}.000Z", at / 60, at % 60)
    }

    fn attempt(step: &str, from: i64, to: Option<i64>, failure: Option<&str>) -> AttemptFacts {
        let failure = failure.map(|kind| FailureFacts { kind: kind.to_owned(), ..FailureFacts::default() });
        AttemptFacts {
            step: step.to_owned(),
            scheduled_at: second(from),
            started_at: Some(second(from)),
            end: to.map(|to| AttemptEnd { at: second(to), failure, log: None }),
            ..AttemptFacts::default()
        }
    }

    #[test]
    fn the_worst_are_failed_then_open_then_long_and_numbers_are_numbers() {
        let all = [
            attempt("each.10", 0, Some(5), None),
            attempt("each.9", 0, Some(5), None),
            attempt("each.2", 0, Some(1), Some("exit")),
            attempt("each.1", 0, Some(3), Some("exit")),
            attempt("each.4", 0, None, None),
            attempt("each.5", 0, Some(90), Some("exit")),
            attempt("each.5", 100, Some(104), None),
        ];
        let refs: Vec<&AttemptFacts> = all.iter().collect();
        let now = millis(&second(200)).unwrap();
        let order: Vec<&str> = worst(&refs, now, 5).iter().map(|it| it.step.as_str()).collect();
        assert_eq!(order, ["each.1", "each.2", "each.4", "each.9", "each.10"]);
    }

    #[test]
    fn a_gate_that_does_not_know_yet_did_not_fail() {
        let id = serde_json::json!({"path": {"step": "ci", "item": null}, "round": 1, "attempt": 1});
        let event = |version: u64, kind: &str, verdict: &str| Event {
            version,
            recorded_at: second(version.cast_signed()),
            actor: "engine".to_owned(),
            event: serde_json::json!({"type": kind, "id": id, "gate": "ci", "verdict": verdict}),
        };
        let events = [
            event(1, "ProbeScheduled", ""),
            event(2, "GateEvaluated", "pending"),
            event(3, "ProbeScheduled", ""),
            event(4, "ProbeFailed", ""),
            event(5, "ProbeScheduled", ""),
            event(6, "GateEvaluated", "pass"),
        ];
        let states: Vec<&str> = of_probes(&events).iter().map(|span| span.state).collect();
        assert_eq!(states, ["ended", "failed", "succeeded"]);
    }

    #[test]
    fn interrupted_and_cancelled_work_did_not_fail() {
        let mut stopped = attempt("tick", 0, Some(5), Some("cancelled"));
        assert_eq!(stopped.state(), "cancelled");
        if let Some(failure) = stopped.end.as_mut().and_then(|end| end.failure.as_mut()) {
            failure.message = "interrupted".to_owned();
        }
        assert_eq!(stopped.state(), "interrupted");
        stopped.kind = "run".to_owned();
        assert_eq!(stopped.state(), "failed", "a run that failed because a run of its own was cancelled");
        assert_eq!(attempt("tick", 0, Some(5), Some("exit")).state(), "failed");
    }

    #[test]
    fn a_begin_that_was_recorded_too_late_is_not_later_than_the_end() {
        let run: RunFacts = serde_json::from_value(serde_json::json!({
            "id": "r", "short_id": "r", "pipeline": "p", "title": null, "status": "running", "version": 1,
            "started_by": "user:ada", "started_at": second(0), "ended_at": null,
        }))
        .unwrap();
        let took = |scheduled: i64, started: Option<i64>, end_ms: i64, failure: Option<&str>| {
            let mut one = attempt("a", scheduled, Some(0), failure);
            one.started_at = started.map(second);
            if let Some(end) = &mut one.end {
                end.at = format!("2026-11-22T15:00:{:02}.{:03}Z", end_ms / 1000, end_ms % 1000);
            }
            let one = one.seen(&run);
            (one.started_at.is_some(), one.took_ms(0))
        };
        assert_eq!(took(1, Some(2), 1_046, None), (true, 46), "begin recorded after the end");
        assert_eq!(took(1, None, 1_046, None), (true, 46), "begin not recorded");
        assert_eq!(took(1, None, 31_000, None), (true, 0), "it may have stood in line until then");
        assert_eq!(took(1, Some(3), 9_000, None), (true, 6_000));
        assert_eq!(took(1, None, 1_046, Some("cancelled")), (false, 0), "cancelled in line");
    }
}

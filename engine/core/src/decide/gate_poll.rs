//! A gate has no verdict yet: it asks again later, or gives up.

use std::time::Duration;

use super::draft::{Draft, Interrupt, settled};
use super::gate::{self, Case, Evaluated, GAVE_UP};
use super::multi_probe;
use super::otherwise;
use super::route::{self, Next, RoutePlace};
use super::scope::{RunScope, failure_value};
use crate::event::{BlockReason, StepBlocked, TimerId, TimerKind, TimerSet};
use crate::policy::{Judgement, Verdict};
use crate::state::{Judging, Key, RunState};
use everfold_base::duration;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::JsonText;
use everfold_base::time::Timestamp;
use everfold_language::definition::{Gate, Routes, Setting, Span};
use everfold_language::expr::{EvalError, Loaded};

/// Kinds of probes that ask a service which may need time.
const SLOW_KINDS: [&str; 3] = ["ci", "mergeable", "http"];

/// How a gate asks again, with what it does not say filled in.
struct Pace {
    every: Duration,
    max: Option<u32>,
    max_unread: Option<u32>,
    timeout: Option<Duration>,
}

impl Pace {
    fn of(gate: &Gate, scope: &RunScope<'_>) -> Result<Self, EvalError> {
        let is_slow = multi_probe::has_kind(&gate.probe, &SLOW_KINDS);
        let every = Duration::from_secs(if is_slow { 30 } else { 10 });
        let (max, timeout) =
            if is_slow { (None, Some(Duration::from_secs(60 * 60))) } else { (Some(3), None) };
        let Some(poll) = &gate.poll else { return Ok(Self { every, max, max_unread: None, timeout }) };
        let within = |name, count: &Option<Setting<u32>>| {
            count.as_ref().map(|count| count.resolve_within(name, 1..=u32::MAX, scope)).transpose()
        };
        let max_unread = within("`max_unread` of `poll`", &poll.max_unread)?;
        let every = poll.every.resolve_some("`every`", scope)?.0;
        if poll.max.is_none() && poll.timeout.is_none() {
            // A pause alone is no bound.
            return Ok(Self { every, max, max_unread, timeout });
        }
        Ok(Self {
            every,
            max: within("`max` of `poll`", &poll.max)?,
            max_unread,
            timeout: poll
                .timeout
                .as_ref()
                .map(|span| span.resolve(scope))
                .transpose()?
                .map(|Span(span)| span),
        })
    }
}

pub(super) fn open(draft: &mut Draft<'_>, at: usize, permanent: bool) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let Some(gate) = graph.step(at).gates.get(draft.state.facts.steps[at].judging.gate) else {
        return Ok(());
    };
    let judging = &draft.state.facts.steps[at].judging;
    let key = Key::step(at);
    let id = draft.state.attempt_id(key);
    let now = draft.now();
    let case = Case { at, gate, id: &id, probe_no: judging.probe_no, now };
    let pace = gate::scope(draft.state, draft.loaded, case).and_then(|scope| Pace::of(gate, &scope));
    let pace = match settled(pace)? {
        Ok(pace) => pace,
        Err(unknown) => {
            let message = format!("gate “{}” cannot ask again: {}", gate.id, unknown.message);
            return block(draft, case, message);
        }
    };
    let next_at = now.plus(pace.every);
    let has_probes = pace.max.is_none_or(|max| judging.polls < max);
    let has_time =
        pace.timeout.is_none_or(|span| judging.since.is_none_or(|since| next_at <= since.plus(span)));
    let unread = draft.state.facts.unread.get(&graph.step(at).id).copied().unwrap_or(0);
    let is_read = pace.max_unread.is_none_or(|max| unread <= max);
    if !permanent && has_probes && has_time && is_read {
        let timer = TimerId { id, kind: TimerKind::Poll, name: gate.id.clone() };
        draft.record(TimerSet { timer, at: next_at });
        return Ok(());
    }
    let is_late = !permanent && has_probes && !has_time;
    let over = pace.timeout.filter(|_| is_late);
    let message = without_verdict(judging, gate, over, (!is_read).then_some(unread));
    let mut failure = Failure::new(FailureKind::Gate, message).with_hint(
        "look at what the last probe said in the run's events; unblock with recheck, retry, proceed, skip or fail",
    );
    failure.code.clone_from(&gate.code);
    let next = {
        let none = Routes(Vec::new());
        let place = RoutePlace {
            name: format!("{}/timeout", gate::place_name(draft.state, at, gate)),
            routes: gate.poll.as_ref().map_or(&none, |poll| &poll.on_timeout),
            by_person: false,
        };
        let chosen = gate::scope(draft.state, draft.loaded, case).and_then(|scope| {
            let scope = scope.with("failure", failure_value(&failure));
            route::choose(draft.state, &scope, &place, Some(&failure))
        });
        settled(chosen)?.ok().flatten().unwrap_or(Next::Block(None))
    };
    if matches!(next, Next::Gate) {
        let judgement = Judgement::new(Verdict::Fail, failure.message);
        let evaluated = Evaluated { policy: GAVE_UP.into(), judgement, tolerated: true, evidence: None };
        gate::record(draft, case, JsonText::null(), 0, evaluated);
        return Ok(());
    }
    let blocked = BlockReason::NoEvidence { gate: gate.id.clone() };
    let findings = route::failure_findings(&failure);
    let gate = Some(gate.id.clone());
    route::take(
        draft,
        next,
        route::From { key, id, gate, is_stale: false, by: None, failure, blocked, findings },
    )
}

/// Why a gate asks no more; `over`: its time, where that is over; `unread`: so often in a row it could not be read.
fn without_verdict(judging: &Judging, gate: &Gate, over: Option<Duration>, unread: Option<u32>) -> String {
    let polls = judging.polls;
    let probes = if polls == 1 { "1 probe".to_owned() } else { format!("{polls} probes") };
    let said = judging.said.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
    match (unread, over) {
        (Some(unread), _) => format!("gate “{}” could not be read {unread} times in a row{said}", gate.id),
        (None, Some(span)) => {
            let span = duration::format(span);
            format!("gate “{}” has no verdict after {probes}, and its time of {span} is over{said}", gate.id)
        }
        (None, None) => format!("gate “{}” has no verdict after {probes}{said}", gate.id),
    }
}

/// When the time is over in which the current gate of a step asks again; `None`: it has no limit, or none that is known.
pub(super) fn ends_at(state: &RunState, loaded: &Loaded, at: usize) -> Result<Option<Timestamp>, EvalError> {
    let judging = &state.facts.steps[at].judging;
    let (Some(gate), Some(since)) = (state.graph.step(at).gates.get(judging.gate), judging.since) else {
        return Ok(None);
    };
    let id = state.attempt_id(Key::step(at));
    let case = Case { at, gate, id: &id, probe_no: judging.probe_no, now: since };
    match gate::scope(state, loaded, case).and_then(|scope| Pace::of(gate, &scope)) {
        Ok(pace) => Ok(pace.timeout.map(|span| since.plus(span))),
        Err(needs @ EvalError::Needs(_)) => Err(needs),
        // The gate says so when it asks again.
        Err(EvalError::Failed { .. }) => Ok(None),
    }
}

/// The current gate of a step cannot be judged. That is neither a failure nor a lack of evidence, so no route
/// follows, and none of them lets the step through: a person decides.
pub(super) fn broken(draft: &mut Draft<'_>, at: usize) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let judging = &draft.state.facts.steps[at].judging;
    let Some(gate) = graph.step(at).gates.get(judging.gate) else { return Ok(()) };
    let said = judging.said.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
    let message = format!("gate “{}” cannot be judged{said}", gate.id);
    let (id, probe_no) = (draft.state.attempt_id(Key::step(at)), judging.probe_no);
    block(draft, Case { at, gate, id: &id, probe_no, now: draft.now() }, message)
}

/// Blocks the step whose gate is broken; a step of `on_finish` goes on, with the failure recorded.
fn block(draft: &mut Draft<'_>, case: Case<'_>, message: String) -> Result<(), Interrupt> {
    let (path, round) = (case.id.path.clone(), case.id.round);
    if draft.state.graph.is_finish(case.at) {
        let mut failure = Failure::new(FailureKind::Gate, message)
            .with_hint("mend the gate's expressions; what failed stands in the run's events");
        failure.code.clone_from(&case.gate.code);
        return otherwise::tolerate(draft, path, round, failure);
    }
    let reason = BlockReason::Broken { gate: case.gate.id.clone() };
    draft.record(StepBlocked { path, round, reason, message });
    Ok(())
}

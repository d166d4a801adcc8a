//! Signals: which gates, steps and routes take them, and what follows.
//!
//! Every gate that a signal wakes asks at once. Besides, it is taken by the first of: a step that
//! waits for it; the `on_signal` of an active step, in the order of the file; the run's. While work
//! of that step executes (for the run: any), its route may defer the signal. A signal that no step
//! takes is kept where a `wait` may still come for it.
//!
//! Law: everything that may have to be loaded is looked at before the first event, so a signal is
//! taken wholly or not yet.

use serde_json::json;

use super::cancel_step::stop_step;
use super::draft::{Draft, Interrupt, settled};
use super::offered_signal::{Act, OfferedSignal, fitting};
use super::refusal::Refusal;
use super::route::{self, Next};
use super::scope::RunScope;
use super::signal_decision::{self, DecidedEnd};
use super::signal_hearing::{Heard, heard, whole_answer};
use super::{question, spend, wait, wake};
use crate::event::{
    ApprovalDecided, BlockReason, BudgetRaised, Hearing, RecheckRequested, RunPaused, RunResumed, SignalEnd,
    SignalReceived, SignalTaken, SignalTaker, Spent, StepBlocked, StepFailed, StopReason, UnblockDecision,
    Unblocked, VoteCast,
};
use crate::state::{KEPT_MAX, Key, Order, Pause, PausedBy, RunState};
use everfold_base::id::{AttemptId, StepPath};
use everfold_base::json::{JsonText, Value};
use everfold_language::definition::{Busy, Money, Route, RouteTo, Routes, Vote, Work};
use everfold_language::expr::EvalError;
use everfold_language::expr::{Loaded, Template};

/// Names of signals and ids of deliveries.
const NAME_BYTES_MAX: usize = 128;
const DELIVERY_BYTES_MAX: usize = 256;
/// The reason of a route that takes nothing while work executes.
const BUSY: &str = "work executes, and the route says `busy: ignore`";
/// The largest payload of a signal.
pub const SIGNAL_BYTES_MAX: usize = 1024 * 1024;

/// What takes a signal, and what follows.
enum Taker {
    Wait(Key),
    Step(usize, Act),
    Run(Act),
    Kept,
    Nobody,
}

/// Refuses what no run would take, whatever it waits for; gives the payload. An input brings it inline; what is too large
/// for an event becomes a blob.
///
/// # Errors
/// The name, the payload or the delivery's id cannot be used.
pub fn check_signal(signal: &SignalReceived) -> Result<&JsonText, Refusal> {
    let SignalReceived { name, payload, delivery } = signal;
    if name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || name.chars().any(|c| c.is_control() || c.is_whitespace())
    {
        return Err(Refusal::BadSignal(name.chars().take(NAME_BYTES_MAX).collect()));
    }
    let payload = payload.text().filter(|text| text.as_str().len() <= SIGNAL_BYTES_MAX);
    let payload = payload.ok_or(Refusal::TooLarge { what: "the payload", max: SIGNAL_BYTES_MAX })?;
    if delivery.as_ref().is_some_and(|delivery| delivery.len() > DELIVERY_BYTES_MAX) {
        return Err(Refusal::TooLarge { what: "the delivery's id", max: DELIVERY_BYTES_MAX });
    }
    Ok(payload)
}

/// A signal comes.
pub(super) fn receive(
    draft: &mut Draft<'_>,
    signal: &SignalReceived,
) -> Result<Result<(), Interrupt>, Refusal> {
    let SignalReceived { name, delivery, .. } = signal;
    let deliveries = &draft.state.facts.order.deliveries;
    let is_repeated =
        delivery.as_ref().is_some_and(|delivery| deliveries.contains(&Order::delivery(name, delivery)));
    if draft.state.is_ended() && !draft.state.hears_late(name) && !is_repeated {
        return Err(Refusal::Ended(draft.state.status()));
    }
    let payload = check_signal(signal)?;
    if is_repeated {
        return Ok(Ok(())); // The same delivery again changes nothing, also where the first one ended the run.
    }
    let offer = OfferedSignal {
        version: draft.state.version().next(),
        name: name.clone(),
        payload: payload.value(),
        by: draft.meta.actor.clone(),
    };
    if draft.state.is_ended() {
        let why = match settled(lateness(draft.state, draft.loaded, &offer)) {
            Err(interrupt) => return Ok(Err(interrupt)),
            Ok(why) => why.ok().flatten().ok_or_else(|| Refusal::Ended(draft.state.status()))?,
        };
        let payload = draft.payload(payload.clone());
        draft.record(SignalReceived { payload, ..signal.clone() });
        let heard = Heard { how: Hearing::Refused, reason: Some(why) };
        record(draft, &offer, SignalTaker::Run, heard, DecidedEnd::None);
        return Ok(Ok(()));
    }
    let taker = match settled(taker(draft.state, draft.loaded, &offer, None)) {
        Err(interrupt) => return Ok(Err(interrupt)),
        Ok(taker) => taker.unwrap_or(Taker::Nobody),
    };
    let woken = match settled(wake::woken(draft.state, draft.loaded, &offer)) {
        Err(interrupt) => return Ok(Err(interrupt)),
        Ok(woken) => woken.unwrap_or_default(),
    };
    let payload = draft.payload(payload.clone());
    draft.record(SignalReceived { payload, ..signal.clone() });
    for at in woken {
        wake::wake(draft, at, offer.version);
    }
    // What no step takes is recorded only.
    if !matches!(taker, Taker::Nobody) {
        take(draft, &offer, taker);
    }
    Ok(Ok(()))
}

/// Offers the oldest signal that was deferred there again.
pub(super) fn take_up(draft: &mut Draft<'_>, place: Option<usize>) -> Result<(), Interrupt> {
    let Some(heard) = draft.state.facts.order.first_deferred(place).cloned() else { return Ok(()) };
    let taker = settled(heard.payload.value(draft.loaded).and_then(|payload| {
        let offer =
            OfferedSignal { version: heard.version, name: heard.name.clone(), payload, by: heard.by.clone() };
        taker(draft.state, draft.loaded, &offer, Some(place)).map(|taker| (offer, taker))
    }))?;
    let (offer, taker) = taker.unwrap_or_else(|_unreadable| {
        let offer =
            OfferedSignal { version: heard.version, name: heard.name, payload: Value::Null, by: heard.by };
        (offer, Taker::Nobody)
    });
    take(draft, &offer, taker);
    Ok(())
}

/// What takes the signal. `place`: where it was deferred; its step comes before all others.
fn taker(
    state: &RunState,
    loaded: &Loaded,
    offer: &OfferedSignal,
    place: Option<Option<usize>>,
) -> Result<Taker, EvalError> {
    if let Some(Some(at)) = place
        && state.is_active(at)
        && let Some(act) = of_step(state, loaded, offer, at)?
    {
        return Ok(Taker::Step(at, act));
    }
    if let Some(act) = resuming(state, loaded, offer)? {
        return Ok(Taker::Run(act));
    }
    if let Some(act) = raising(state, loaded, offer)? {
        return Ok(Taker::Run(act));
    }
    let listeners = state.graph.listeners(&offer.name);
    for at in listeners.iter().flat_map(|listeners| &listeners.waits) {
        if let Some(Work::Wait(wait)) = &state.graph.step(*at).work {
            for key in state.facts.order.waiting.range(Key::step(*at)..Key::step(at + 1)) {
                if wait::matches(state, loaded, *key, wait, &offer.payload)? {
                    return Ok(Taker::Wait(*key));
                }
            }
        }
    }
    for at in listeners.iter().flat_map(|listeners| &listeners.steps) {
        if state.is_active(*at)
            && let Some(act) = of_step(state, loaded, offer, *at)?
        {
            return Ok(Taker::Step(*at, act));
        }
    }
    if let Some(routes) = state.definition().on_signal.get(&offer.name)
        && state.facts.outcome.is_none()
    {
        let scope = offer.scope(RunScope::run(state, loaded));
        let name = format!("on_signal:{}", offer.name);
        if let Some(act) = choose(state, &scope, offer, routes, &name, state.is_any_executing())? {
            return Ok(Taker::Run(act));
        }
    }
    let may_come = listeners.is_some_and(|listeners| !listeners.waits.is_empty());
    Ok(if may_come && state.facts.order.kept.len() < KEPT_MAX { Taker::Kept } else { Taker::Nobody })
}

/// A route of the run's own that lets it go on comes before all others, and only where a breakpoint paused the run.
fn resuming(state: &RunState, loaded: &Loaded, offer: &OfferedSignal) -> Result<Option<Act>, EvalError> {
    let is_at_breakpoint = |pause: &Pause| matches!(pause.by, PausedBy::Breakpoint(_));
    let Some(routes) = state.definition().on_signal.get(&offer.name) else { return Ok(None) };
    if !state.facts.order.pause.as_ref().is_some_and(is_at_breakpoint) || state.facts.outcome.is_some() {
        return Ok(None);
    }
    let scope = offer.scope(RunScope::run(state, loaded));
    for route in routes.0.iter().filter(|route| matches!(route.to, RouteTo::Resume)) {
        match route.when.as_ref().map_or(Ok(true), |when| when.eval_bool(&scope)) {
            Ok(true) => return Ok(Some(Act::Resume)),
            Ok(false) | Err(EvalError::Failed { .. }) => {}
            Err(needs) => return Err(needs),
        }
    }
    Ok(None)
}

/// A route of the run's own that raises a budget comes before those of steps, whatever executes, and only where the
/// money of the run's own budget is used up, and that holds or has stopped work of the run.
fn raising(state: &RunState, loaded: &Loaded, offer: &OfferedSignal) -> Result<Option<Act>, EvalError> {
    let Some(routes) = state.definition().on_signal.get(&offer.name) else { return Ok(None) };
    let Some(budget) = spend::holding(state) else { return Ok(None) };
    if state.facts.outcome.is_some() || !offer.is_from_outside() {
        return Ok(None);
    }
    let scope = offer.scope(RunScope::run(state, loaded));
    for route in &routes.0 {
        let RouteTo::Raise(by) = &route.to else { continue };
        match route.when.as_ref().map_or(Ok(true), |when| when.eval_bool(&scope)) {
            Ok(false) | Err(EvalError::Failed { .. }) => continue,
            Ok(true) => {}
            Err(needs) => return Err(needs),
        }
        return Ok(Some(match by.resolve(&scope) {
            Ok(Money(0)) => Act::Ignore(Some("`raise`: by nothing".to_owned())),
            Ok(Money(cost_micros)) => Act::Raise { budget, add: Spent { cost_micros, ..Spent::default() } },
            Err(error @ EvalError::Failed { .. }) => Act::Ignore(Some(format!("`raise`: {error}"))),
            Err(needs) => return Err(needs),
        }));
    }
    Ok(None)
}

/// Why a run that has ended refuses a signal, where a route of its own says so: `late`.
fn lateness(state: &RunState, loaded: &Loaded, offer: &OfferedSignal) -> Result<Option<String>, EvalError> {
    let Some(routes) = state.definition().on_signal.get(&offer.name) else { return Ok(None) };
    let scope = offer.scope(RunScope::run(state, loaded));
    for route in &routes.0 {
        let RouteTo::Late(why) = &route.to else { continue };
        match route.when.as_ref().map_or(Ok(true), |when| when.eval_bool(&scope)) {
            Ok(true) => return reason_of(why, &scope).map(Some),
            Ok(false) | Err(EvalError::Failed { .. }) => {}
            Err(needs) => return Err(needs),
        }
    }
    Ok(None)
}

/// The reason that a route gives for refusing a signal.
fn reason_of(why: &Template, scope: &RunScope<'_>) -> Result<String, EvalError> {
    Ok(match why.render_text(scope) {
        Err(error @ EvalError::Failed { .. }) => format!("its reason cannot be given: {error}"),
        rendered_or_needed => fitting(&rendered_or_needed?).to_owned(),
    })
}

fn of_step(
    state: &RunState,
    loaded: &Loaded,
    offer: &OfferedSignal,
    at: usize,
) -> Result<Option<Act>, EvalError> {
    let step = state.graph.step(at);
    let Some(routes) = step.on_signal.get(&offer.name) else { return Ok(None) };
    let scope = offer.scope_of_step(state, loaded, at)?;
    let name = format!("{}/on_signal:{}", step.id, offer.name);
    choose(state, &scope, offer, routes, &name, state.is_executing(at))
}

/// The first route that holds on this signal. `None`: no route takes it. A condition that fails on the
/// payload does not hold: what comes from outside must not break the run.
fn choose(
    state: &RunState,
    scope: &RunScope<'_>,
    offer: &OfferedSignal,
    routes: &Routes,
    name: &str,
    is_busy: bool,
) -> Result<Option<Act>, EvalError> {
    // Of those that let the run go on none held, and it has not ended.
    let is_other =
        |route: &Route| !matches!(route.to, RouteTo::Resume | RouteTo::Raise(_) | RouteTo::Late(_));
    let others = routes.0.iter().enumerate().filter(|(_, route)| is_other(route));
    for (index, route) in others {
        let holds = match route.when.as_ref().map_or(Ok(true), |when| when.eval_bool(scope)) {
            Err(EvalError::Failed { .. }) => false,
            known_or_needed => known_or_needed?,
        };
        if holds {
            return act(state, scope, offer, route, format!("{name}/{index}"), is_busy).map(Some);
        }
    }
    Ok(None)
}

fn act(
    state: &RunState,
    scope: &RunScope<'_>,
    offer: &OfferedSignal,
    route: &Route,
    name: String,
    is_busy: bool,
) -> Result<Act, EvalError> {
    match (&route.to, route.busy) {
        (RouteTo::Ignore, _) => return Ok(Act::Ignore(None)),
        (RouteTo::Refuse(why), _) => {
            return reason_of(why, scope).map(Act::Refuse);
        }
        (_, Busy::Defer) if is_busy => return Ok(Act::Defer),
        (_, Busy::Ignore) if is_busy => return Ok(Act::Ignore(Some(BUSY.to_owned()))),
        _now => {}
    }
    let comment = || match &route.findings {
        None => Ok(offer.words()),
        Some(findings) => match findings.render_text(scope) {
            Err(EvalError::Failed { .. }) => Ok(offer.words()),
            rendered_or_needed => rendered_or_needed.map(Some),
        },
    };
    Ok(match &route.to {
        RouteTo::Approve => Act::Vote { vote: Vote::Approve, comment: comment()? },
        RouteTo::Reject => Act::Vote { vote: Vote::Reject, comment: comment()? },
        RouteTo::Changes => Act::Vote { vote: Vote::Changes, comment: comment()? },
        RouteTo::Answer(answer) => match at_hand(scope).and_then(|()| answer.render(scope)) {
            Err(error @ EvalError::Failed { .. }) => Act::Ignore(Some(format!("`answer`: {error}"))),
            rendered_or_needed => Act::Answer(rendered_or_needed?),
        },
        RouteTo::Recheck => Act::Recheck,
        RouteTo::Unblock(decision) => Act::Unblock(*decision),
        RouteTo::Resume => Act::Resume,
        RouteTo::Raise(_) | RouteTo::Ignore | RouteTo::Refuse(_) | RouteTo::Late(_) => Act::Ignore(None),
        RouteTo::Continue
        | RouteTo::Next
        | RouteTo::Rework(_)
        | RouteTo::Block
        | RouteTo::Fail { .. }
        | RouteTo::Finish(_) => {
            let failure = offer.failure();
            match route::follow(state, scope, route, name, offer.is_by_person(), Some(&failure)) {
                // A limit or a text of the route failed on this payload.
                Err(error @ EvalError::Failed { .. }) => Act::Ignore(Some(error.to_string())),
                followed_or_needed => Act::Follow(followed_or_needed?),
            }
        }
    })
}

/// Loads what an answer is judged by: its saved parts, and the values that `accept` asks for.
fn at_hand(scope: &RunScope<'_>) -> Result<(), EvalError> {
    let (state, loaded, Some(key)) = scope.place() else { return Ok(()) };
    let question = state.unit_at(key).and_then(|unit| unit.question());
    question.map_or(Ok(()), |question| question.draft.value(loaded).map(drop))?;
    let accept = match &state.graph.step(key.step).work {
        Some(Work::Question(question)) => question.accept.as_ref(),
        _of_no_question => None,
    };
    // All that must be loaded is named before anything is evaluated.
    match accept.map(|accept| accept.eval(&scope.clone().with("answer", Value::Null))) {
        Some(Err(needs @ EvalError::Needs(_))) => Err(needs),
        _at_hand => Ok(()),
    }
}

fn take(draft: &mut Draft<'_>, offer: &OfferedSignal, taker: Taker) {
    let id = |draft: &Draft<'_>, at| draft.state.attempt_id(Key::step(at));
    match taker {
        Taker::Wait(key) => {
            let by = SignalTaker::Wait(draft.state.attempt_id(key));
            record(draft, offer, by, Heard::of(Hearing::Now), DecidedEnd::None);
        }
        Taker::Kept => {
            record(draft, offer, SignalTaker::Nobody, Heard::of(Hearing::Kept), DecidedEnd::None);
        }
        Taker::Nobody => {
            record(draft, offer, SignalTaker::Nobody, Heard::of(Hearing::Ignored), DecidedEnd::None);
        }
        Taker::Step(at, act) => {
            let id = id(draft, at);
            let heard = heard(draft, Some(at), &act, &offer.by);
            let how = heard.how;
            record(draft, offer, SignalTaker::Step(id.clone()), heard, decided_end(&act, false, offer));
            if how == Hearing::Now {
                follow_at(draft, offer, at, id, act);
            }
        }
        Taker::Run(act) => {
            let heard = heard(draft, None, &act, &offer.by);
            let how = heard.how;
            record(draft, offer, SignalTaker::Run, heard, decided_end(&act, true, offer));
            if how == Hearing::Now {
                follow_run(draft, offer, act);
            }
        }
    }
}

fn record(draft: &mut Draft<'_>, offer: &OfferedSignal, by: SignalTaker, heard: Heard, end: DecidedEnd) {
    let Heard { how, reason } = heard;
    let reason = reason.map(|reason| fitting(&reason).to_owned());
    let decision = signal_decision::of(draft.state, offer, &end);
    let ends = match end {
        DecidedEnd::Run(end) => Some(end),
        DecidedEnd::Step | DecidedEnd::None => None,
    };
    draft.record(SignalTaken { signal: offer.version, by, how, ends, reason, decision });
}

/// What the route of a step's, or of the pipeline's own `on_signal` decides in the place of their judgement.
fn decided_end(act: &Act, is_runs: bool, offer: &OfferedSignal) -> DecidedEnd {
    match act {
        Act::Follow(Next::Finish(status)) => DecidedEnd::Run(SignalEnd::Finished(*status)),
        Act::Follow(Next::Fail(own)) if is_runs => {
            DecidedEnd::Run(SignalEnd::Failed(own.clone().unwrap_or_else(|| offer.failure())))
        }
        Act::Follow(Next::Fail(_)) => DecidedEnd::Step,
        _goes_on => DecidedEnd::None,
    }
}

/// Follows a route of a step's `on_signal`.
fn follow_at(draft: &mut Draft<'_>, offer: &OfferedSignal, at: usize, id: AttemptId, act: Act) {
    let (path, round) = (id.path.clone(), id.round);
    match act {
        Act::Defer | Act::Ignore(_) | Act::Refuse(_) | Act::Resume | Act::Raise { .. } => {}
        Act::Follow(next) => match next {
            Next::Continue | Next::Gate | Next::Finish(_) => {}
            Next::Rework(rework) => route::request(draft, rework, from(draft.state, offer, at, id)),
            Next::Block(target) => {
                stop_step(draft, at, StopReason::Signal);
                let reason = match target {
                    Some(target) => BlockReason::UsedUp { target, gate: None },
                    None => BlockReason::Signal { name: offer.name.clone() },
                };
                draft.record(StepBlocked { path, round, reason, message: offer.failure().message });
            }
            Next::Ceiling(target) => {
                stop_step(draft, at, StopReason::Signal);
                let message = route::ceiling_message(draft.state, &offer.failure().message);
                let reason = BlockReason::UsedUp { target, gate: None };
                draft.record(StepBlocked { path, round, reason, message });
            }
            Next::Fail(own) => {
                stop_step(draft, at, StopReason::Signal);
                let failure = own.unwrap_or_else(|| offer.failure());
                let tolerated = draft.state.graph.is_finish(at);
                draft.record(StepFailed { path, round, failure, tolerated, finish: None, output: None });
            }
        },
        Act::Vote { vote, comment } => decide_task(draft, offer, id, vote, comment),
        Act::Answer(answer) => answer_task(draft, at, &id, &answer),
        Act::Recheck => {
            // What cannot be judged again is left as it is.
            let reason = Some(format!("the signal “{}”", offer.name));
            let policies = std::collections::BTreeMap::new();
            let _refused = super::recheck::recheck(draft, &RecheckRequested { path, policies, reason });
        }
        Act::Unblock(decision) => unblock(draft, offer, path, decision),
    }
}

/// Follows a route of the run's `on_signal`; its ends stand in `SignalTaken`.
fn follow_run(draft: &mut Draft<'_>, offer: &OfferedSignal, act: Act) {
    match act {
        Act::Follow(Next::Rework(rework)) => {
            let target = rework.target();
            let id = draft.state.attempt_id(Key::step(target));
            route::request(draft, rework, from(draft.state, offer, target, id));
        }
        Act::Follow(next @ (Next::Block(_) | Next::Ceiling(_)))
            if draft.state.facts.order.pause.is_none() =>
        {
            // A person decides how the run goes on.
            let cause = offer.failure().message;
            let reason = match &next {
                Next::Ceiling(target) => {
                    format!("{}; {}", route::ceiling_message(draft.state, &cause), once_more(target))
                }
                Next::Block(Some(target)) => {
                    format!("{cause}; its rework of “{target}” is used up; {}", once_more(target))
                }
                _no_rework => cause,
            };
            draft.record(RunPaused { reason: Some(reason), interrupt: false });
        }
        Act::Resume => {
            let reason = Some(format!("the signal “{}”", offer.name));
            super::pause::go_on(draft, RunResumed { reason, prompt: None });
        }
        Act::Raise { budget, add } => {
            let reason = Some(format!("the signal “{}”", offer.name));
            draft.record(BudgetRaised { budget, add, reason });
            for path in spend::stopped(draft.state) {
                unblock(draft, offer, path, UnblockDecision::Retry);
            }
        }
        _nothing_more => {}
    }
}

/// What a person may do where a rework that a signal asked for is used up.
fn once_more(target: &everfold_base::id::StepId) -> String {
    format!("resume the run to go on without it, or restart it from “{target}”")
}

fn from(state: &RunState, offer: &OfferedSignal, at: usize, id: AttemptId) -> route::From {
    let failure = offer.failure();
    let findings = if offer.payload.is_null() { json!(failure.message) } else { offer.payload.clone() };
    let blocked = BlockReason::Signal { name: offer.name.clone() };
    debug_assert!(at < state.graph.len());
    route::From {
        key: Key::step(at),
        id,
        gate: None,
        is_stale: false,
        by: Some(offer.by.to_string()),
        failure,
        blocked,
        findings,
    }
}

/// A signal decides an open task wholly, whatever its quorum.
fn decide_task(
    draft: &mut Draft<'_>,
    offer: &OfferedSignal,
    id: AttemptId,
    vote: Vote,
    comment: Option<String>,
) {
    let (roles, comments) = (Vec::new(), Vec::new());
    // The task may have changed since the other side looked: what it shows is what is decided.
    let shown = draft.state.seen(&id).cloned();
    let seen = shown.as_ref().map(|seen| seen.digest);
    let (edited, said) = (None, comment.clone());
    draft.record(VoteCast { id: id.clone(), vote, comment: said, roles, comments, edited, seen });
    let by = vec![offer.by.to_string()];
    draft.record(ApprovalDecided { id, decision: vote, by, comment, seen: shown });
}

/// A signal answers an open question wholly, with every role. [`heard`] has judged the answer.
fn answer_task(draft: &mut Draft<'_>, at: usize, id: &AttemptId, answer: &Value) {
    if let Some(answer) = whole_answer(draft.state, at, id, answer) {
        let _judged = question::answer(draft, &answer);
    }
}

fn unblock(draft: &mut Draft<'_>, offer: &OfferedSignal, path: StepPath, decision: UnblockDecision) {
    let reason = Some(format!("the signal “{}”", offer.name));
    let (output, policies) = (None, std::collections::BTreeMap::new());
    let words = offer.words().filter(|_| offer.is_by_person());
    // How a signal is decided on stands in no fact of its own: as former versions did, it repeats all items.
    super::unblock::record(
        draft,
        Unblocked { path, decision, output, reason, policies },
        words.as_deref(),
        false,
    );
}

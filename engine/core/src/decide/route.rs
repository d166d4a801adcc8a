//! Where a failure or a success leads.

use std::collections::BTreeMap;

use serde_json::json;

use super::draft::{Draft, Interrupt};
use super::otherwise;
use super::scope::RunScope;
use super::stops::stop_all;
use crate::event::{
    BlockReason, ReworkRequested, ReworkSource, RunUnblocked, StepBlocked, StepFailed, StopReason,
    UnblockDecision, Unblocked,
};
use crate::state::{Key, ROUTE_MAX_DEFAULT, RouteUse, RunState};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, StepId, StepPath};
use everfold_base::json::{JsonText, Value};
use everfold_language::definition::{
    FinishStatus, IfUnchanged, ROUNDS_DEFAULT, Route, RouteMax, RouteTo, Routes, Setting,
};
use everfold_language::expr::{EvalError, Template};

/// Where a list of routes stands.
pub(super) struct RoutePlace<'a> {
    /// `STEP/gate:ID`, `STEP/on_fail`, …: the counters' name.
    pub(super) name: String,
    pub(super) routes: &'a Routes,
    /// A person caused it: reworks are not limited unless the route says so.
    pub(super) by_person: bool,
}

/// Where a route leads, with every limit looked at.
pub(super) enum Next {
    Continue,
    /// The next gate.
    Gate,
    Rework(AllowedRework),
    Block(Option<StepId>),
    /// A person decides: the run reached its limit of reworks without a person.
    Ceiling(StepId),
    Fail(Option<Failure>),
    Finish(FinishStatus),
}

/// A rework that is allowed.
pub(super) struct AllowedRework {
    target: usize,
    route: String,
    used: u32,
    max: Option<u32>,
    /// Its findings; `None`: the default.
    findings: Option<Value>,
    hold: bool,
    held_behind: HeldBehind,
    /// A person decides where the gate failed on the evidence of its failure before.
    is_blocked_unchanged: bool,
    by_person: bool,
}

/// What becomes of rounds behind the target that wait for a person.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HeldBehind {
    /// They go on waiting.
    Waits,
    /// They begin in their turn.
    Begins,
}

impl AllowedRework {
    /// The step that begins anew.
    pub(super) fn target(&self) -> usize {
        self.target
    }
}

/// The first route whose condition holds; where none does, fail, and after a success continue. No route at all: `None`.
pub(super) fn choose(
    state: &RunState,
    scope: &RunScope<'_>,
    place: &RoutePlace<'_>,
    failure: Option<&Failure>,
) -> Result<Option<Next>, EvalError> {
    if place.routes.is_empty() {
        return Ok(None);
    }
    for (index, route) in place.routes.0.iter().enumerate() {
        let holds = route.when.as_ref().map_or(Ok(true), |when| when.eval_bool(scope))?;
        if holds {
            return follow(state, scope, route, format!("{}/{index}", place.name), place.by_person, failure)
                .map(Some);
        }
    }
    Ok(Some(if failure.is_some() { Next::Fail(None) } else { Next::Continue }))
}

pub(super) fn follow(
    state: &RunState,
    scope: &RunScope<'_>,
    route: &Route,
    name: String,
    by_person: bool,
    failure: Option<&Failure>,
) -> Result<Next, EvalError> {
    Ok(match &route.to {
        RouteTo::Continue => Next::Continue,
        RouteTo::Next => Next::Gate,
        RouteTo::Block => Next::Block(None),
        RouteTo::Finish(status) => Next::Finish(*status),
        // The checker of definitions allows these in `on_signal` only, which `signal` handles.
        RouteTo::Approve
        | RouteTo::Reject
        | RouteTo::Changes
        | RouteTo::Answer(_)
        | RouteTo::Recheck
        | RouteTo::Resume
        | RouteTo::Raise(_)
        | RouteTo::Unblock(_)
        | RouteTo::Ignore
        | RouteTo::Refuse(_)
        | RouteTo::Late(_) => Next::Continue,
        RouteTo::Fail { code, message, hint } => {
            let text = |template: &Option<Template>| {
                template.as_ref().map(|template| template.render_text(scope)).transpose()
            };
            let mut own =
                failure.cloned().unwrap_or_else(|| Failure::new(FailureKind::Error, "a route ended the run"));
            own.code = code.clone().or(own.code);
            own.message = text(message)?.unwrap_or(own.message);
            own.hint = text(hint)?.or(own.hint);
            Next::Fail(Some(own))
        }
        RouteTo::Rework(target) => {
            let Some(target) = state.graph.find(target) else { return Ok(Next::Block(None)) };
            let former = state.facts.routes.get(&name).copied();
            let max = match (former, &route.max) {
                // An unlimited rework by a person does not lift the limit of automatic reworks.
                (_, None) => (!by_person).then_some(ROUTE_MAX_DEFAULT),
                (Some(former), Some(_)) => former.max,
                (None, Some(RouteMax::Unlimited)) => None,
                (None, Some(RouteMax::Times(times))) => {
                    Some(times.resolve_within("`max`", 0..=u32::MAX, scope)?)
                }
            };
            let used = former.map_or(0, |former: RouteUse| former.used);
            let is_extra = route.hold && route.extra;
            let rounds_left = by_person || is_extra || has_rounds_left(state, scope, target)?;
            let is_allowed = rounds_left && max.is_none_or(|max| used < max);
            // A person begins a held round, so it does not count as an automatic rework.
            if is_allowed && !by_person && !route.hold && state.reworks() >= ceiling(state) {
                return Ok(Next::Ceiling(state.step_id(target)));
            }
            if is_allowed {
                return Ok(Next::Rework(AllowedRework {
                    target,
                    route: name,
                    used: used + 1,
                    max,
                    findings: findings(route, scope)?,
                    hold: route.hold,
                    held_behind: if route.lift { HeldBehind::Begins } else { HeldBehind::Waits },
                    is_blocked_unchanged: route.if_unchanged == Some(IfUnchanged::Block),
                    by_person,
                }));
            }
            match &route.then {
                // A person may allow the used-up rework once more, whether `then` says `block` or nothing.
                Some(then) => match follow(state, scope, then, format!("{name}/then"), by_person, failure)? {
                    Next::Block(None) => Next::Block(Some(state.step_id(target))),
                    other => other,
                },
                None => Next::Block(Some(state.step_id(target))),
            }
        }
    })
}

/// How often steps of the run may be reworked without a person.
fn ceiling(state: &RunState) -> u32 {
    state.definition().rounds.unwrap_or(ROUNDS_DEFAULT)
}

/// The message of a run that reached its limit of reworks without a person.
pub(super) fn ceiling_message(state: &RunState, cause: &str) -> String {
    let rounds = ceiling(state);
    format!(
        "{cause}; the run was reworked {rounds} times without a person, which is all that `rounds` allows"
    )
}

/// The findings that the route gives the step. Findings that cannot be rendered are replaced by the
/// default: the rework matters more.
fn findings(route: &Route, scope: &RunScope<'_>) -> Result<Option<Value>, EvalError> {
    match route.findings.as_ref().map(|template| template.render(scope)).transpose() {
        Err(EvalError::Failed { .. }) => Ok(None),
        rendered_or_needed => rendered_or_needed,
    }
}

/// The findings that the route that holds gives this step: its own, or those of what follows when it is used up.
pub(super) fn findings_for(
    state: &RunState,
    scope: &RunScope<'_>,
    routes: &Routes,
    target: usize,
) -> Result<Option<Value>, EvalError> {
    for route in &routes.0 {
        if !route.when.as_ref().map_or(Ok(true), |when| when.eval_bool(scope))? {
            continue;
        }
        let leads_there = |route: &&Route| matches!(&route.to, RouteTo::Rework(name) if state.graph.find(name) == Some(target));
        let led = std::iter::successors(Some(route), |route| route.then.as_deref()).find(leads_there);
        return led.map_or(Ok(None), |route| findings(route, scope));
    }
    Ok(None)
}

fn has_rounds_left(state: &RunState, scope: &RunScope<'_>, target: usize) -> Result<bool, EvalError> {
    let max: Option<&Setting<u32>> = state.graph.step(target).max_rounds.as_ref();
    let max = max.map(|max| max.resolve_within("`max_rounds`", 1..=u32::MAX, scope)).transpose()?;
    Ok(max.is_none_or(|max| state.facts.steps[target].rounds_run < max))
}

/// What a route starts from.
pub(super) struct From {
    pub(super) key: Key,
    pub(super) id: AttemptId,
    pub(super) gate: Option<String>,
    /// The gate wants fresh evidence, and nothing changed since the round began.
    pub(super) is_stale: bool,
    pub(super) by: Option<String>,
    pub(super) failure: Failure,
    /// Why the step would be blocked.
    pub(super) blocked: BlockReason,
    /// The findings for a reworked step where the route has none.
    pub(super) findings: Value,
}

/// Whether the round of a step began because this gate of it failed, and it is to be sent back once more: what did not
/// change since then is what the gate refused, even if its reason is another one now.
fn was_sent_back(state: &RunState, rework: &AllowedRework, at: usize, gate: &str) -> bool {
    let source = state.facts.steps[at].rework.as_ref().map(|rework| &rework.source);
    let is_it = |source: &ReworkSource| {
        source.gate.as_deref() == Some(gate) && source.id.path.step == state.step_id(at)
    };
    rework.target == at && source.is_some_and(is_it)
}

/// Follows a route of a failure.
pub(super) fn take(draft: &mut Draft<'_>, next: Next, from: From) -> Result<(), Interrupt> {
    let is_finish_step = draft.state.graph.is_finish(from.key.step);
    let (path, round) = (from.id.path.clone(), from.id.round);
    match next {
        Next::Rework(rework) => match &from.gate {
            Some(gate)
                if rework.is_blocked_unchanged
                    && (draft.state.failed_unchanged(from.key.step, gate)
                        || (from.is_stale && was_sent_back(draft.state, &rework, from.key.step, gate))) =>
            {
                let (target, gate) = (draft.state.step_id(rework.target), gate.clone());
                let message = format!("{}; the evidence is that of its failure before", from.failure.message);
                let reason = BlockReason::Unchanged { target, gate };
                draft.record(StepBlocked { path, round, reason, message });
            }
            _changed => request(draft, rework, from),
        },
        // What leads to the next gate is recorded with the verdict, and takes no route.
        Next::Continue | Next::Gate => return otherwise::tolerate(draft, path, round, from.failure),
        Next::Block(target) if !is_finish_step => {
            let message = match &target {
                Some(target) => format!("{}; the rework of “{target}” is used up", from.failure.message),
                None => from.failure.message.clone(),
            };
            let reason = match target {
                Some(target) => BlockReason::UsedUp { target, gate: from.gate },
                None => from.blocked,
            };
            draft.record(StepBlocked { path, round, reason, message });
        }
        Next::Ceiling(target) if !is_finish_step => {
            let message = ceiling_message(draft.state, &from.failure.message);
            let reason = BlockReason::UsedUp { target, gate: from.gate };
            draft.record(StepBlocked { path, round, reason, message });
        }
        Next::Block(_) | Next::Ceiling(_) => return otherwise::tolerate(draft, path, round, from.failure),
        Next::Fail(own) => return otherwise::fail(draft, path, round, own.unwrap_or(from.failure)),
        Next::Finish(status) => {
            draft.record(StepFailed {
                path,
                round,
                failure: from.failure,
                tolerated: false,
                finish: Some(status),
                output: None,
            });
        }
    }
    Ok(())
}

/// Takes a rework that is allowed.
pub(super) fn request(draft: &mut Draft<'_>, rework: AllowedRework, from: From) {
    let findings = rework.findings.unwrap_or(from.findings);
    let source = ReworkSource { id: from.id, gate: from.gate, by: from.by };
    let (used, target) = ((rework.used, rework.max), rework.target);
    if rework.held_behind == HeldBehind::Begins {
        lift_held(draft, target);
    }
    let is_held = draft.state.facts.steps[target].order.hold;
    // A person's rework of a held step begins the held round; others leave it held.
    let hold = if is_held { !rework.by_person } else { rework.hold };
    begin(draft, target, source, rework.route, used, &findings, hold);
}

/// What is sent back to a step before rounds that wait for a person: these begin in their turn.
fn lift_held(draft: &mut Draft<'_>, target: usize) {
    let behind = draft.state.graph.downstream(target);
    for at in behind.into_iter().filter(|at| *at != target) {
        let path = StepPath::step(&draft.state.step_id(at));
        if draft.state.block_reason(&path) != Some(&BlockReason::Held) {
            continue;
        }
        let reason = Some(format!("sent back to “{}”", draft.state.step_id(target)));
        let (decision, output, policies) = (UnblockDecision::Retry, None, BTreeMap::new());
        let unblocked = Unblocked { path, decision, output, reason, policies };
        draft.is_lifting = true;
        draft.record(RunUnblocked { unblocked, bypassed: Vec::new(), keeps_items: false });
        draft.is_lifting = false;
    }
}

/// Begins a step and all that depends on it anew.
pub(super) fn record(
    draft: &mut Draft<'_>,
    target: usize,
    source: ReworkSource,
    route: String,
    used: (u32, Option<u32>),
    findings: &Value,
) {
    begin(draft, target, source, route, used, findings, false);
}

fn begin(
    draft: &mut Draft<'_>,
    target: usize,
    source: ReworkSource,
    route: String,
    (used, max): (u32, Option<u32>),
    findings: &Value,
    hold: bool,
) {
    let reset = draft.state.graph.downstream(target);
    let facts = &draft.state.facts;
    let in_flight = facts.attempts.iter().filter(|key| reset.binary_search(&key.step).is_ok());
    let ids: Vec<AttemptId> = in_flight.map(|key| draft.state.attempt_id(*key)).collect();
    stop_all(draft, &ids, StopReason::Rework);
    let reset = reset.into_iter().map(|at| draft.state.step_id(at)).collect();
    let findings = draft.payload(JsonText::new(findings));
    let target = draft.state.step_id(target);
    draft.record(ReworkRequested { target, source, route, used, max, findings, reset, hold });
}

/// The findings for a reworked step that a failure led to.
pub(super) fn failure_findings(failure: &Failure) -> Value {
    match &failure.detail {
        Some(detail) => json!(format!("{}\n{detail}", failure.message)),
        None => json!(failure.message),
    }
}

//! A person decided on a blocked step: it is retried, succeeds, is skipped or fails.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::super::draft::{Draft, Interrupt, settled};
use super::super::gate::{self, Case};
use super::super::otherwise;
use super::super::route;
use super::super::scope::{RunScope, failure_value};
use super::refused::Refused;
use super::retry::retry;
use crate::event::{
    BlockReason, ProbeScheduled, ReworkRequested, ReworkSource, SkipReason, StepFailed, StepSucceeded,
    UnblockDecision,
};
use crate::state::{Key, RunState, StoredValue};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::StepPath;
use everfold_base::json::{Payload, Value};

pub(super) fn decided(
    draft: &mut Draft<'_>,
    key: Key,
    decision: UnblockDecision,
    reason: &BlockReason,
) -> Result<(), Interrupt> {
    let id = draft.state.attempt_id(key);
    let (path, round) = (id.path, id.round);
    match decision {
        UnblockDecision::Retry => return again(draft, key, reason),
        UnblockDecision::Recheck | UnblockDecision::Proceed => {
            let failure = draft.state.unit_at(key).and_then(|unit| unit.failure.clone());
            match lacking(draft, key, &path, failure.as_ref())? {
                Ok(output) => {
                    let labels = BTreeMap::new();
                    draft.record(StepSucceeded { path, round, labels, finish: None, output });
                }
                Err(failure) => otherwise::broken(draft, path, round, failure),
            }
        }
        UnblockDecision::Skip => return otherwise::skip(draft, path, round, SkipReason::Person),
        UnblockDecision::Fail => {
            let failure = final_failure(draft.state, key, reason);
            draft.record(StepFailed { path, round, failure, tolerated: false, finish: None, output: None });
        }
    }
    Ok(())
}

/// The step's `else`, where the step has brought no output and the person gave none.
fn lacking(
    draft: &mut Draft<'_>,
    key: Key,
    path: &StepPath,
    failure: Option<&Failure>,
) -> Result<Result<Option<Payload>, Failure>, Interrupt> {
    let step = &draft.state.facts.steps[key.step];
    let is_lacking = step.output == StoredValue::Null && step.items.is_none();
    if is_lacking { otherwise::output(draft, path, failure) } else { Ok(Ok(None)) }
}

/// Retries what blocked the step: its attempt, its probe, or the rework that was refused.
fn again(draft: &mut Draft<'_>, key: Key, reason: &BlockReason) -> Result<(), Interrupt> {
    let facts = &draft.state.facts.steps[key.step];
    let step = draft.state.graph.step(key.step);
    // Gates alone that wait for an approval look at it with an attempt.
    let has_attempts = step.work.is_some() || !step.approved.is_empty();
    // A round whose time is over, or that has no attempts, begins anew.
    let goes_on = has_attempts && facts.items.is_none() && facts.order.cut.is_none();
    let (target, gate) = match reason {
        BlockReason::Lost | BlockReason::Failed | BlockReason::Asked if goes_on => {
            return retry(draft, key, Duration::ZERO);
        }
        BlockReason::NoEvidence { gate } | BlockReason::Broken { gate } => {
            return probe_again(draft, key, gate);
        }
        BlockReason::Lost
        | BlockReason::Failed
        | BlockReason::Rejected
        | BlockReason::Asked
        | BlockReason::Signal { .. }
        | BlockReason::Held => (key.step, None),
        BlockReason::Gate { gate } => (key.step, Some(gate.clone())),
        BlockReason::Unchanged { target, gate } => {
            (draft.state.graph.find(target).unwrap_or(key.step), Some(gate.clone()))
        }
        BlockReason::UsedUp { target, gate } => {
            (draft.state.graph.find(target).unwrap_or(key.step), gate.clone())
        }
    };
    let failure = final_failure(draft.state, key, reason);
    let findings = findings(draft, key, gate.as_deref(), target, &failure)?;
    let source =
        ReworkSource { id: draft.state.attempt_id(key), gate, by: Some(draft.meta.actor.to_string()) };
    let name = ReworkRequested::unblock_route(&source.id.path.step);
    let used = draft.state.facts.routes.get(&name).map_or(0, |route| route.used) + 1;
    route::record(draft, target, source, name, (used, None), &findings);
    Ok(())
}

/// The findings for the step that begins anew: the same as if its route had not been used up.
fn findings(
    draft: &Draft<'_>,
    key: Key,
    gate: Option<&str>,
    target: usize,
    failure: &Failure,
) -> Result<Value, Interrupt> {
    let (state, loaded): (&RunState, _) = (&*draft.state, draft.loaded);
    let step = state.graph.step(key.step);
    if let Some(gate) = gate.and_then(|id| step.gates.iter().find(|gate| gate.id == *id)) {
        let id = state.attempt_id(key);
        let case = Case { at: key.step, gate, id: &id, probe_no: 0, now: draft.now() };
        let own = gate::findings_for(state, loaded, case, target)?;
        return Ok(own.unwrap_or_else(|| route::failure_findings(failure)));
    }
    let refused = Refused::of_step(step, &state.facts.steps[key.step]);
    let routes = refused.as_ref().map_or(&step.on_fail, |refused| refused.routes);
    let scope = RunScope::of(state, loaded, key).with("failure", failure_value(failure));
    let said = settled(route::findings_for(state, &scope, routes, target))?;
    let by_default = || match refused.and_then(|refused| refused.findings) {
        Some(remarks) => json!(remarks),
        None => route::failure_findings(failure),
    };
    Ok(said.ok().flatten().unwrap_or_else(by_default))
}

fn probe_again(draft: &mut Draft<'_>, key: Key, gate: &str) -> Result<(), Interrupt> {
    let judging = &draft.state.facts.steps[key.step].judging;
    let (probe_no, kind) = (judging.probe_no + 1, judging.kind.clone());
    let task = settled(judging.task.value(draft.loaded))?.unwrap_or_default();
    if kind.is_empty() {
        // Its parameters could not be rendered, or it needs no prober: judge it anew.
        return gate::judge(draft, key.step);
    }
    let task = draft.payload_of(&task);
    draft.record(ProbeScheduled {
        id: draft.state.attempt_id(key),
        gate: gate.to_owned(),
        probe_no,
        kind,
        task,
    });
    Ok(())
}

fn final_failure(state: &RunState, key: Key, reason: &BlockReason) -> Failure {
    let known = state.unit_at(key).and_then(|unit| unit.failure.clone());
    known.unwrap_or_else(|| match reason {
        BlockReason::Gate { gate }
        | BlockReason::Unchanged { gate, .. }
        | BlockReason::UsedUp { gate: Some(gate), .. } => {
            let verdict = state.facts.steps[key.step].gates.iter().find(|verdict| verdict.gate == *gate);
            let why = verdict.map_or("it failed", |verdict| verdict.reason.as_str());
            Failure::new(FailureKind::Gate, format!("gate “{gate}” failed: {why}"))
        }
        BlockReason::NoEvidence { gate } | BlockReason::Broken { gate } => {
            Failure::new(FailureKind::Gate, format!("gate “{gate}” has no verdict"))
        }
        BlockReason::Rejected => Failure::new(FailureKind::Rejected, "rejected"),
        BlockReason::Lost => Failure::new(FailureKind::Lost, "the work vanished"),
        BlockReason::Signal { name } => {
            Failure::new(FailureKind::Error, format!("the signal “{name}” says so"))
        }
        BlockReason::Failed | BlockReason::UsedUp { .. } | BlockReason::Held | BlockReason::Asked => {
            Failure::new(FailureKind::Error, "the step failed")
        }
    })
}

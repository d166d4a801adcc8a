//! Gates are judged again on the same artefacts, where an operator says so by other policies.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::policy_error::PolicyError;
use super::preconditions::{check_text, refuse_ended};
use super::refusal::Refusal;
use crate::event::RecheckRequested;
use crate::state::{Phase, RunState, Settling};
use everfold_base::id::StepPath;

/// All gates of a step are judged again on the same artefacts; of an open approval people are asked anew, with what it
/// shows by now.
pub(super) fn recheck(draft: &mut Draft<'_>, request: &RecheckRequested) -> Result<(), Refusal> {
    check(draft.state, request)?;
    draft.record(request.clone());
    Ok(())
}

/// Why the gates of a step cannot be judged again now.
pub(super) fn refusal(state: &RunState, request: &RecheckRequested) -> Option<Refusal> {
    check(state, request).err()
}

fn check(state: &RunState, request: &RecheckRequested) -> Result<(), Refusal> {
    check_text("the reason", request.reason.as_deref())?;
    refuse_ended(state)?;
    let path = &request.path;
    let at = state.graph.find(&path.step).ok_or_else(|| Refusal::UnknownStep(path.clone()))?;
    let has_verdicts = match &state.facts.steps[at].phase {
        Phase::Judging
        | Phase::Settling(Settling::GateOpen { .. } | Settling::GateFailed | Settling::GateBroken) => true,
        Phase::Blocked(reason) => reason.gate().is_some(),
        _no_gate_is_open => false,
    };
    let asks = state.key(path).is_some_and(|key| state.is_asking_approval(key));
    if asks && state.is_live(at) && request.policies.is_empty() {
        return Ok(());
    }
    if path.item.is_some() || !has_verdicts || !state.is_live(at) {
        return Err(Refusal::NotJudged(path.clone()));
    }
    check_policies(state, path, &request.policies)
}

/// Refuses policies of gates that the step has not, and such as no evidence could be judged by.
pub(super) fn check_policies(
    state: &RunState,
    path: &StepPath,
    policies: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let Some(at) = state.graph.find(&path.step) else { return Err(Refusal::UnknownStep(path.clone())) };
    let gates = &state.graph.step(at).gates;
    for (gate, policy) in policies {
        if !gates.iter().any(|known| known.id == *gate) {
            let known = gates.iter().map(|gate| gate.id.clone()).collect();
            return Err(Refusal::UnknownGate { path: path.clone(), gate: gate.clone(), known });
        }
        let wrong = |error: PolicyError| Refusal::BadPolicy { gate: gate.clone(), error: Box::new(error) };
        let expression = PolicyError::parsed(policy).map_err(wrong)?;
        for reference in expression.references() {
            let path = reference.path();
            let checked = check_name(&path).and_then(|()| check_step(state, &path));
            checked.map_err(|message| wrong(PolicyError::at(&expression, &path, message)))?;
        }
    }
    Ok(())
}

/// Refuses a text that no evidence could be judged by, whatever the run.
///
/// # Errors
/// What is wrong with it, and where.
pub fn check_policy(policy: &str) -> Result<(), PolicyError> {
    if policy.starts_with("default:") {
        return Ok(());
    }
    let expression = PolicyError::parsed(policy)?;
    expression.references().iter().try_for_each(|reference| {
        let path = reference.path();
        check_name(&path).map_err(|message| PolicyError::at(&expression, &path, message))
    })
}

/// Names that a policy may use.
const NAMES: [&str; 14] = [
    "evidence",
    "gate",
    "output",
    "input",
    "config",
    "run",
    "step",
    "workspace",
    "rework",
    "attempt",
    "answers",
    "steps",
    "item",
    "index",
];

fn check_step(state: &RunState, path: &[&str]) -> Result<(), String> {
    match path {
        ["steps", step, ..] if state.graph.find(&(*step).into()).is_none() => {
            Err(format!("there is no step “{step}”"))
        }
        _known => Ok(()),
    }
}

fn check_name(path: &[&str]) -> Result<(), String> {
    match path {
        [name, ..] if !NAMES.contains(name) => {
            Err(format!("there is no name “{name}”; a policy mostly looks at `evidence`"))
        }
        _known => Ok(()),
    }
}

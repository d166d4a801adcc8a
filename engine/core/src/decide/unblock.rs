//! A person decides on a blocked step.

use std::collections::BTreeMap;

use serde_json::json;

use super::draft::Draft;
use super::preconditions::{check_text, refuse_ended};
use super::refusal::Refusal;
use super::route;
use crate::event::{BlockReason, ReworkRequested, ReworkSource, RunUnblocked, UnblockDecision, Unblocked};
use crate::policy::Verdict;
use crate::state::RunState;
use everfold_base::id::StepPath;
use everfold_base::json::JsonText;
use everfold_language::definition::Gate;

/// What a person decides on a blocked step.
pub(super) struct Unblocking<'a> {
    pub(super) decision: UnblockDecision,
    pub(super) output: Option<&'a JsonText>,
    pub(super) reason: Option<&'a String>,
    pub(super) policies: &'a BTreeMap<String, String>,
    pub(super) keeps_items: bool,
}

pub(super) fn unblock(
    draft: &mut Draft<'_>,
    path: Option<&StepPath>,
    unblocking: Unblocking<'_>,
) -> Result<(), Refusal> {
    let Unblocking { decision, output, reason, policies, keeps_items } = unblocking;
    check_text("the reason", reason.map(String::as_str))?;
    refuse_ended(draft.state)?;
    let path = blocked_path(draft.state, path)?;
    let Some(blocked) = draft.state.block_reason(&path).cloned() else {
        return Err(Refusal::NotBlocked(path));
    };
    if decision == UnblockDecision::Recheck && (path.item.is_some() || blocked.gate().is_none()) {
        let why = "no gate blocks it, so there is nothing to judge again";
        return Err(Refusal::CannotUnblock { path, decision, why });
    }
    let at = draft.state.graph.find(&path.step).filter(|_| path.item.is_none());
    if decision == UnblockDecision::Skip
        && let Some(reader) = at.and_then(|at| super::readers::first_reader(draft.state, at))
    {
        return Err(Refusal::Needed { path, reader: reader.of, chain: reader.chain });
    }
    if output.is_some() && decision != UnblockDecision::Proceed {
        return Err(Refusal::CannotUnblock { path, decision, why: "only proceed takes an output" });
    }
    if !policies.is_empty() && decision != UnblockDecision::Recheck {
        return Err(Refusal::CannotUnblock { path, decision, why: "only recheck takes policies" });
    }
    super::recheck::check_policies(draft.state, &path, policies)?;
    let output = output.map(|output| draft.payload(output.clone()));
    let (reason, policies) = (reason.cloned(), policies.clone());
    let words = reason.clone();
    let keeps_items = keeps_items && decision == UnblockDecision::Retry && keeps(draft.state, &path);
    record(draft, Unblocked { path, decision, output, reason, policies }, words.as_deref(), keeps_items);
    Ok(())
}

/// Records the decision. Where the step says with which one its retry begins, that one begins anew, and `words` are what
/// it receives.
pub(super) fn record(draft: &mut Draft<'_>, unblocked: Unblocked, words: Option<&str>, keeps_items: bool) {
    let from = retry_from(draft.state, &unblocked);
    let id = draft.state.key(&unblocked.path).map(|key| draft.state.attempt_id(key));
    let bypassed = bypassed(draft.state, &unblocked);
    draft.record(RunUnblocked { unblocked, bypassed, keeps_items });
    let (Some(target), Some(id)) = (from, id) else { return };
    let by = draft.meta.actor.to_string();
    let findings = json!({ "decision": UnblockDecision::Retry, "by": by, "text": words });
    let route = ReworkRequested::retry_route(&id.path.step);
    let used = draft.state.facts.routes.get(&route).map_or(0, |route| route.used) + 1;
    let source = ReworkSource { id, gate: None, by: Some(by) };
    route::record(draft, target, source, route, (used, None), &findings);
}

/// The gates that a decision passes over.
fn bypassed(state: &RunState, unblocked: &Unblocked) -> Vec<String> {
    let Unblocked { path, decision, .. } = unblocked;
    let passes_over = matches!(decision, UnblockDecision::Proceed | UnblockDecision::Skip);
    let Some(at) = state.graph.find(&path.step).filter(|_| passes_over && path.item.is_none()) else {
        return Vec::new();
    };
    open_gates(state, at)
}

/// The gates of a step that had neither passed nor been found not to apply in this round, in the order of the file.
pub(super) fn open_gates(state: &RunState, at: usize) -> Vec<String> {
    let judged = &state.facts.steps[at].gates;
    let is_settled = |gate: &Gate| {
        judged.iter().any(|known| {
            known.gate == gate.id
                && (known.tolerated || matches!(known.verdict, Verdict::Pass | Verdict::Skipped))
        })
    };
    let never_applies = |gate: &Gate| gate.when.as_ref().is_some_and(|when| when.source().trim() == "false");
    let gates = state.graph.step(at).gates.iter();
    gates.filter(|gate| !is_settled(gate) && !never_applies(gate)).map(|gate| gate.id.clone()).collect()
}

/// Whether a retry of the step keeps items: its work failed as a whole, it begins with itself, and the tries of its items
/// have not brought the worktree back to where the round began.
fn keeps(state: &RunState, path: &StepPath) -> bool {
    let reason = state.block_reason(path);
    let failed = matches!(reason, Some(BlockReason::Failed | BlockReason::Lost | BlockReason::Rejected));
    let at = state.graph.find(&path.step).filter(|_| failed && path.item.is_none());
    at.is_some_and(|at| {
        let step = state.graph.step(at);
        step.retry_from.is_none() && !step.clean && state.is_done_in_part(at)
    })
}

/// The step with which the retry begins. What a gate could not see, and what the work asked, is asked for again instead.
fn retry_from(state: &RunState, unblocked: &Unblocked) -> Option<usize> {
    let Unblocked { path, decision, .. } = unblocked;
    let at = state.graph.find(&path.step).filter(|_| path.item.is_none())?;
    let from = state.graph.step(at).retry_from.as_ref().filter(|_| *decision == UnblockDecision::Retry)?;
    match state.block_reason(path)? {
        BlockReason::NoEvidence { .. } | BlockReason::Broken { .. } | BlockReason::Asked => None,
        _its_work => state.graph.find(from),
    }
}

fn blocked_path(state: &RunState, path: Option<&StepPath>) -> Result<StepPath, Refusal> {
    let blocked: Vec<StepPath> = state.facts.blocked.iter().map(|key| state.path(*key)).collect();
    match path {
        Some(path) if state.graph.find(&path.step).is_none() => Err(Refusal::UnknownStep(path.clone())),
        Some(path) if blocked.contains(path) => Ok(path.clone()),
        // The name of a step means its only blocked item.
        Some(path) => {
            let mut of_step = blocked.iter().filter(|other| other.step == path.step);
            match (of_step.next(), of_step.next()) {
                (Some(only), None) if path.item.is_none() => Ok(only.clone()),
                (Some(_), Some(_)) if path.item.is_none() => Err(Refusal::SeveralBlocked(blocked)),
                _none => Err(Refusal::NotBlocked(path.clone())),
            }
        }
        None => match blocked.as_slice() {
            [] => Err(Refusal::NothingBlocked),
            [only] => Ok(only.clone()),
            _several => Err(Refusal::SeveralBlocked(blocked)),
        },
    }
}

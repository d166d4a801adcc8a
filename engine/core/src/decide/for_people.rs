//! What is for people to decide: no step decides it of its own run, or of a run that this one came of.

use super::approval::{check_roles, is_starter};
use super::refusal::Refusal;
use crate::event::UnblockDecision;
use crate::input::InputKind;
use crate::state::{Key, RunState};
use everfold_base::actor::Actor;
use everfold_base::id::StepPath;
use everfold_language::definition::{Definition, Route, RouteTo, Step, Work};

/// Whether an input decides on an approval of the run, or may: a vote, a decision that passes over a blocked approval, a
/// signal that a route of an approval takes for either, or that raises the run's budget. `is_own`: it comes from a step of the
/// run itself, whose votes are refused or not counted by themselves.
#[must_use]
pub fn is_for_people(state: &RunState, kind: &InputKind, is_own: bool) -> bool {
    match kind {
        InputKind::Vote(_) | InputKind::MeasuredVote { .. } => !is_own,
        InputKind::Unblock { path, decision, .. } => {
            passes_over(*decision) && is_approval(state, path.as_ref())
        }
        InputKind::Signal(signal) => is_decided_by(state.definition(), &signal.name, is_own),
        _of_no_approval => false,
    }
}

/// Whether an input may decide on an approval of the run that excludes who started it, and this person did: by another run, a
/// schedule or a delivery they would decide what they may not decide themselves.
#[must_use]
pub fn is_own_decision(state: &RunState, kind: &InputKind, person: &Actor) -> bool {
    let excludes =
        |step: &Step| matches!(&step.work, Some(Work::Approval(approval)) if !approval.self_approval);
    let steps = &state.definition().steps;
    let is_asked = match kind {
        InputKind::Vote(vote) | InputKind::MeasuredVote { vote, .. } => {
            steps.iter().any(|step| step.id == vote.id.path.step && excludes(step))
        }
        InputKind::Unblock { path, decision, .. } => {
            let is_meant = |step: &&Step| path.as_ref().is_none_or(|path| path.step == step.id);
            passes_over(*decision) && steps.iter().filter(is_meant).any(excludes)
        }
        InputKind::Signal(signal) => steps.iter().filter(|step| excludes(step)).any(|step| {
            routes(step, &signal.name).any(|route| match &route.to {
                RouteTo::Approve | RouteTo::Reject | RouteTo::Changes => true,
                RouteTo::Unblock(decision) => passes_over(*decision),
                _of_no_approval => false,
            })
        }),
        _of_no_approval => false,
    };
    is_asked && is_starter(state, person)
}

/// Why a person may not pass over a blocked approval: it asks for a role that they have not, or excludes who started the run.
#[must_use]
pub fn override_refusal(state: &RunState, kind: &InputKind, roles: &[String], by: &Actor) -> Option<Refusal> {
    let InputKind::Unblock { path, decision, .. } = kind else { return None };
    if !passes_over(*decision) {
        return None;
    }
    let blocked = state.facts.blocked.iter().map(|key| (key, state.path(*key)));
    let mut meant = blocked.filter(|(_, blocked)| path.as_ref().is_none_or(|path| path == blocked));
    meant.find_map(|(key, path)| {
        let Some(Work::Approval(approval)) = &state.graph.step(key.step).work else { return None };
        if let Err(refusal) = check_roles(&path, &approval.roles, roles) {
            return Some(refusal);
        }
        (!approval.self_approval && is_starter(state, by)).then_some(Refusal::SelfApproval(path))
    })
}

/// Whether a decision on a blocked step goes on as if people had decided.
fn passes_over(decision: UnblockDecision) -> bool {
    matches!(decision, UnblockDecision::Proceed | UnblockDecision::Skip)
}

/// Whether the blocked step is an approval; `None`: any that is blocked.
fn is_approval(state: &RunState, path: Option<&StepPath>) -> bool {
    let asks = |key: &Key| matches!(state.graph.step(key.step).work, Some(Work::Approval(_)));
    match path {
        Some(path) => state.key(path).as_ref().is_some_and(asks),
        None => state.facts.blocked.iter().any(asks),
    }
}

/// Whether a signal of this name may decide on an approval, or raise a budget.
fn is_decided_by(definition: &Definition, signal: &str, is_own: bool) -> bool {
    let decides = |step: &Step, route: &Route| match &route.to {
        RouteTo::Approve | RouteTo::Reject | RouteTo::Changes => !is_own,
        RouteTo::Unblock(decision) => passes_over(*decision) && matches!(step.work, Some(Work::Approval(_))),
        RouteTo::Raise(_) => true,
        _of_no_approval => false,
    };
    definition.steps.iter().any(|step| routes(step, signal).any(|route| decides(step, route)))
}

/// The routes of a step that a signal may take.
fn routes<'a>(step: &'a Step, signal: &str) -> impl Iterator<Item = &'a Route> {
    let routes = step.on_signal.get(signal).map_or(&[][..], |routes| &routes.0);
    routes.iter().flat_map(lines)
}

/// A route, and what follows when it is used up.
fn lines(route: &Route) -> impl Iterator<Item = &Route> {
    std::iter::successors(Some(route), |route| route.then.as_deref())
}

//! What people decide: votes, unblocking, cancelling, pausing.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::refusal::Refusal;
use crate::definition::Vote;
use crate::event::{
    ApprovalDecided, CancelRequested, Comment, NoteAdded, RunPaused, RunResumed, RunUnblocked,
    UnblockDecision, Unblocked, VoteCast,
};
use crate::id::{AttemptId, StepPath};
use crate::json::JsonText;
use crate::state::{ApprovalState, RunState};

/// Comments, reasons and notes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

pub(super) fn check_text(what: &'static str, text: Option<&str>) -> Result<(), Refusal> {
    match text {
        Some(text) if text.len() > TEXT_BYTES_MAX => Err(Refusal::TooLarge { what, max: TEXT_BYTES_MAX }),
        _short => Ok(()),
    }
}

pub(super) fn refuse_ended(state: &RunState) -> Result<(), Refusal> {
    if state.is_ended() { Err(Refusal::Ended(state.status())) } else { Ok(()) }
}

/// What somebody says to an approval.
pub(super) struct Ballot<'a> {
    pub(super) vote: Vote,
    pub(super) comment: Option<&'a String>,
    pub(super) roles: &'a [String],
    pub(super) comments: &'a [Comment],
    pub(super) edited: Option<&'a JsonText>,
}

pub(super) fn vote(draft: &mut Draft<'_>, id: &AttemptId, ballot: Ballot<'_>) -> Result<(), Refusal> {
    let Ballot { vote, comment, roles, comments, edited } = ballot;
    check_text("the comment", comment.map(String::as_str))?;
    let path = &id.path;
    let key = draft.state.key(path).ok_or_else(|| Refusal::UnknownStep(path.clone()))?;
    let step = &draft.state.facts.steps[key.step];
    if draft.state.current(id).is_none() || step.approval.is_none() {
        let asked = step.round.0 > 0 || id.round.0 > 1;
        return Err(if asked { Refusal::Superseded(path.clone()) } else { Refusal::NotAsking(path.clone()) });
    }
    let Some(approval) = &step.approval else { return Err(Refusal::NotAsking(path.clone())) };
    let by = draft.meta.actor.to_string();
    if let Some(decision) = approval.decision {
        // The same again is no news.
        return if decision == vote {
            Ok(())
        } else {
            Err(Refusal::Decided { path: path.clone(), decision })
        };
    }
    refuse_ended(draft.state)?;
    if !draft.state.facts.asking.contains(&key.step) {
        return Err(Refusal::Superseded(path.clone()));
    }
    let terms = &approval.terms;
    if vote == Vote::Changes {
        return Err(Refusal::NotOffered { path: path.clone(), vote });
    }
    if !terms.roles.is_empty() && !terms.roles.iter().any(|role| roles.contains(role)) {
        return Err(Refusal::WrongRole { path: path.clone(), roles: terms.roles.clone() });
    }
    let started_by = draft.state.started().map(|(by, _)| by.to_string());
    if !terms.self_approval && started_by.as_deref() == Some(&by) {
        return Err(Refusal::SelfApproval(path.clone()));
    }
    if terms.comment.contains(&vote) && comment.is_none_or(|comment| comment.trim().is_empty()) {
        return Err(Refusal::CommentNeeded { path: path.clone(), vote });
    }
    if approval.votes.get(&by).is_some_and(|former| former.vote == vote && former.comment.as_ref() == comment)
    {
        return Ok(());
    }
    let edited = edited.map(|edited| draft.payload(edited.clone()));
    draft.record(VoteCast {
        id: id.clone(),
        vote,
        comment: comment.cloned(),
        roles: roles.to_vec(),
        comments: comments.to_vec(),
        edited,
    });
    if let Some(approval) = &draft.state.facts.steps[key.step].approval
        && let Some(decision) = outcome(approval)
    {
        let made: Vec<_> = approval.votes.iter().filter(|(_, cast)| cast.vote == decision).collect();
        let by = made.iter().map(|(by, _)| (*by).clone()).collect();
        let comments: Vec<&str> = made.iter().filter_map(|(_, cast)| cast.comment.as_deref()).collect();
        let comment = (!comments.is_empty()).then(|| comments.join("\n"));
        draft.record(ApprovalDecided { id: id.clone(), decision, by, comment });
    }
    Ok(())
}

/// What the votes say, if they suffice: one rejection where there is a veto, else the quorum.
fn outcome(approval: &ApprovalState) -> Option<Vote> {
    let count = |vote: Vote| approval.votes.values().filter(|cast| cast.vote == vote).count();
    let quorum = approval.terms.quorum as usize;
    let against = if approval.terms.veto { 1 } else { quorum };
    if count(Vote::Reject) >= against {
        Some(Vote::Reject)
    } else if count(Vote::Approve) >= quorum {
        Some(Vote::Approve)
    } else {
        None
    }
}

pub(super) fn cancel(draft: &mut Draft<'_>, reason: Option<&String>) -> Result<(), Refusal> {
    check_text("the reason", reason.map(String::as_str))?;
    if draft.state.is_ended() {
        return Err(Refusal::Ended(draft.state.status()));
    }
    draft.record(CancelRequested { reason: reason.cloned() });
    if draft.state.facts.paused {
        // What ends the run must not wait for somebody to resume it.
        draft.record(RunResumed { reason: None });
    }
    Ok(())
}

pub(super) fn pause(draft: &mut Draft<'_>, reason: Option<&String>) -> Result<(), Refusal> {
    check_text("the reason", reason.map(String::as_str))?;
    refuse_ended(draft.state)?;
    if !draft.state.facts.paused {
        draft.record(RunPaused { reason: reason.cloned() });
    }
    Ok(())
}

pub(super) fn resume(draft: &mut Draft<'_>, reason: Option<&String>) -> Result<(), Refusal> {
    check_text("the reason", reason.map(String::as_str))?;
    refuse_ended(draft.state)?;
    if !draft.state.facts.paused {
        return Err(Refusal::NotPaused);
    }
    draft.record(RunResumed { reason: reason.cloned() });
    Ok(())
}

pub(super) fn note(draft: &mut Draft<'_>, text: &str) -> Result<(), Refusal> {
    check_text("the note", Some(text))?;
    draft.record(NoteAdded { text: text.to_owned() });
    Ok(())
}

/// A step is to end as cancelled.
pub(super) fn cancel_step(
    _draft: &mut Draft<'_>,
    path: &StepPath,
    _reason: Option<&String>,
) -> Result<(), Refusal> {
    Err(Refusal::UnknownStep(path.clone()))
}

/// What somebody decides on a blocked step.
pub(super) struct Unblocking<'a> {
    pub(super) decision: UnblockDecision,
    pub(super) output: Option<&'a JsonText>,
    pub(super) reason: Option<&'a String>,
    pub(super) policies: &'a BTreeMap<String, String>,
}

pub(super) fn unblock(
    draft: &mut Draft<'_>,
    path: Option<&StepPath>,
    unblocking: Unblocking<'_>,
) -> Result<(), Refusal> {
    let Unblocking { decision, output, reason, policies } = unblocking;
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
    if output.is_some() && decision != UnblockDecision::Proceed {
        return Err(Refusal::CannotUnblock { path, decision, why: "only proceed takes an output" });
    }
    if !policies.is_empty() && decision != UnblockDecision::Recheck {
        return Err(Refusal::CannotUnblock { path, decision, why: "only recheck takes policies" });
    }
    super::gate::check_policies(draft.state, &path, policies)?;
    let output = output.map(|output| draft.payload(output.clone()));
    let (reason, policies) = (reason.cloned(), policies.clone());
    draft.record(RunUnblocked { unblocked: Unblocked { path, decision, output, reason, policies } });
    Ok(())
}

fn blocked_path(state: &RunState, path: Option<&StepPath>) -> Result<StepPath, Refusal> {
    let blocked: Vec<StepPath> = state.facts.blocked.iter().map(|key| state.path(*key)).collect();
    match path {
        Some(path) if state.graph.find(&path.step).is_none() => Err(Refusal::UnknownStep(path.clone())),
        Some(path) if blocked.contains(path) => Ok(path.clone()),
        // The step of a single blocked item is meant.
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

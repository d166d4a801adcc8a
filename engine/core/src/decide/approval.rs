//! Votes on approvals.

use super::draft::{Draft, Interrupt, settled};
use super::preconditions::{TEXT_BYTES_MAX, check_text, refuse_ended};
use super::refusal::Refusal;
use super::render::type_name;
use super::seen::{Sight, check_sight};
use crate::event::{ApprovalDecided, ApprovalTerms, Comment, SeenPart, VoteCast};
use crate::state::{ApprovalState, Key, RunState, Unit};
use everfold_base::actor::Actor;
use everfold_base::id::{Attempt, AttemptId, Round, StepPath};
use everfold_base::json::{JsonText, Payload};
use everfold_language::definition::{Vote, Work};

/// Whether a task takes a vote or an answer now.
pub(super) enum TaskLookup {
    /// It is open.
    Open(Key),
    /// It was decided or answered, and its step has not begun anew since.
    Closed(Key),
}

/// The unit that a task's id names, if that task was not withdrawn.
pub(super) fn find(state: &RunState, id: &AttemptId) -> Result<TaskLookup, Refusal> {
    let path = &id.path;
    let key = state.key(path).ok_or_else(|| Refusal::UnknownStep(path.clone()))?;
    let asks = |unit: &Unit| unit.approval().is_some() || unit.question().is_some();
    if state.current(id).is_none() || !state.unit_at(key).is_some_and(asks) {
        let was_answered = id.round == state.facts.steps[key.step].round
            && state
                .unit_at(key)
                .is_some_and(|unit| unit.answers().iter().any(|answered| answered.attempt == id.attempt));
        return match (was_answered, may_have_asked(state, key, id)) {
            (true, _) => Ok(TaskLookup::Closed(key)),
            (false, true) => Err(Refusal::Superseded(path.clone())),
            (false, false) => Err(not_asking(state, key, id)),
        };
    }
    let is_open = state.facts.asking.contains(&key) && state.is_live(key.step);
    let is_decided = state.unit_at(key).is_some_and(|unit| {
        unit.approval().is_some_and(|approval| approval.decision.is_some())
            || unit.question().is_some_and(|question| question.answer.is_some())
    });
    match (is_open, is_decided) {
        (_, true) => Ok(TaskLookup::Closed(key)),
        (true, false) => refuse_ended(state).map(|()| TaskLookup::Open(key)),
        (false, false) if state.unit_at(key).is_some_and(Unit::is_expired) => {
            Err(Refusal::Expired(path.clone()))
        }
        (false, false) => Err(Refusal::Superseded(path.clone())),
    }
}

/// The refusal of a task that was never there: of a step that asks in another round or attempt, with that one.
fn not_asking(state: &RunState, key: Key, id: &AttemptId) -> Refusal {
    let path = id.path.clone();
    if !state.facts.asking.contains(&key) || !state.is_live(key.step) {
        return Refusal::NotAsking(path);
    }
    let open = state.attempt_id(key);
    Refusal::OtherOpen {
        path,
        round: id.round,
        attempt: id.attempt,
        open_round: open.round,
        open_attempt: open.attempt,
    }
}

/// Whether a task of that round and attempt may have been there once.
fn may_have_asked(state: &RunState, key: Key, id: &AttemptId) -> bool {
    let step = &state.facts.steps[key.step];
    let is_unit = match (&state.graph.step(key.step).foreach, key.item) {
        (None, None) => true,
        (Some(_), Some(item)) => step
            .items
            .as_ref()
            .is_none_or(|items| usize::try_from(item).is_ok_and(|item| item < items.total())),
        (None, Some(_)) | (Some(_), None) => false,
    };
    if !is_unit || id.round > step.round || id.round == Round::ZERO {
        return false;
    }
    // A round that was reset has no attempts any more.
    let of_unit = |asked: fn(&Unit, &AttemptId) -> bool| {
        id.round < step.round
            || state.unit_at(key).is_none_or(|unit| unit.attempt == Attempt::ZERO || asked(unit, id))
    };
    match state.graph.step(key.step).work {
        Some(Work::Approval(_) | Work::Question(_)) => of_unit(|unit, id| id.attempt <= unit.attempt),
        Some(Work::Task(_)) => of_unit(|unit, id| id.attempt <= unit.attempt && unit.asks() > 0),
        Some(Work::Wait(_)) | None => false,
    }
}

pub(super) fn check_roles(path: &StepPath, wanted: &[String], has: &[String]) -> Result<(), Refusal> {
    if wanted.is_empty() || wanted.iter().any(|role| has.contains(role)) {
        return Ok(());
    }
    Err(Refusal::WrongRole { path: path.clone(), roles: wanted.to_vec() })
}

/// A person votes; `found` is what lies in the workspace at that moment, of what the task shows.
pub(super) fn vote(
    draft: &mut Draft<'_>,
    ballot: &VoteCast,
    found: Option<&[SeenPart]>,
) -> Result<Result<(), Interrupt>, Refusal> {
    check_text("the comment", ballot.comment.as_deref())?;
    check_remarks(&ballot.comments)?;
    let id = &ballot.id;
    let path = &id.path;
    let key = match find(draft.state, id)? {
        TaskLookup::Open(key) | TaskLookup::Closed(key) => key,
    };
    let Some(approval) = draft.state.unit_at(key).and_then(Unit::approval) else {
        return Err(Refusal::WrongKind { path: path.clone(), wants: "an answer" });
    };
    let (vote, by) = (ballot.vote, draft.meta.actor.to_string());
    if let Some(decision) = approval.decision {
        return vote_behind(draft, approval, decision, ballot, &by);
    }
    check_ballot(draft, path, approval, ballot)?;
    let shown = draft.state.seen(id);
    let sight = Sight { named: ballot.seen, found };
    check_sight(path, shown, &sight, vote == Vote::Approve)?;
    let seen = shown.map(|seen| seen.digest);
    let edited = match &ballot.edited {
        None => None,
        Some(edited) => match replaced(draft, path, approval, edited)? {
            Ok(edited) => edited,
            Err(interrupt) => return Ok(Err(interrupt)),
        },
    };
    let is_repeated = approval.votes.get(&by).is_some_and(|former| {
        approval.counts(former, vote)
            && former.comment == ballot.comment
            && former.comments == ballot.comments
    });
    if is_repeated && edited.is_none() {
        return Ok(Ok(()));
    }
    let edited = edited.map(|edited| draft.payload(edited));
    draft.record(VoteCast { edited, seen, ..ballot.clone() });
    if let Some(approval) = draft.state.unit_at(key).and_then(Unit::approval)
        && let Some(decision) = approval.outcome()
    {
        let (by, comment) = approval.deciders(decision);
        let seen = draft.state.seen(id).cloned();
        draft.record(ApprovalDecided { id: id.clone(), decision, by, comment, seen });
    }
    Ok(Ok(()))
}

/// A vote behind the decision: the same again records nothing, another one is refused.
fn vote_behind(
    draft: &Draft<'_>,
    approval: &ApprovalState,
    decision: Vote,
    ballot: &VoteCast,
    by: &str,
) -> Result<Result<(), Interrupt>, Refusal> {
    let path = &ballot.id.path;
    if decision != ballot.vote {
        return Err(Refusal::Decided { path: path.clone(), decision });
    }
    // The terms of the approval still refuse a voter without a voice.
    if !approval.votes.contains_key(by) {
        check_ballot(draft, path, approval, ballot)?;
    }
    let other = |what| Refusal::DecidedOn { path: path.clone(), decision, what };
    let Some(edited) = &ballot.edited else {
        let shown = draft.state.seen(&ballot.id).zip(ballot.seen);
        return match shown.is_some_and(|(seen, named)| seen.digest != named) {
            true => Err(other("on something else than this vote names")),
            false => Ok(Ok(())),
        };
    };
    // It names what was shown before the value was replaced.
    match replaced(draft, path, approval, edited)? {
        Ok(Some(_other)) => Err(other("with another value than this vote has")),
        Ok(None) => Ok(Ok(())),
        Err(interrupt) => Ok(Err(interrupt)),
    }
}

/// Remarks of one vote: their number, and their bytes together.
const REMARKS_MAX: usize = 200;

fn check_remarks(remarks: &[Comment]) -> Result<(), Refusal> {
    let size = |part: &Option<String>| part.as_ref().map_or(0, String::len);
    let bytes: usize = remarks
        .iter()
        .map(|remark| remark.text.len() + size(&remark.on) + size(&remark.shown) + size(&remark.quote))
        .sum();
    if bytes > TEXT_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the remarks together", max: TEXT_BYTES_MAX });
    }
    if remarks.len() > REMARKS_MAX {
        return Err(Refusal::TooMany { what: "remarks", max: REMARKS_MAX });
    }
    Ok(())
}

/// The run of an actor that is a run or a step's process.
fn run_of(actor: &Actor) -> Option<&str> {
    match actor {
        Actor::Run(name) => Some(name.split('/').next().unwrap_or(name)),
        _other => None,
    }
}

/// Whether this would be a self-approval: a run's own steps never decide on it; who started the run, or one that it goes
/// on from, and who is behind such a start, decides only where the terms allow it.
pub(super) fn is_self(state: &RunState, terms: &ApprovalTerms, by: &Actor) -> bool {
    let is_own = state.run().is_some_and(|run| run_of(by) == Some(run.to_string().as_str()));
    is_own || !terms.self_approval && is_starter(state, by)
}

/// Whether a person started the run, or one that it goes on from, or is behind such a start; or it is a step of the run
/// that did.
pub(super) fn is_starter(state: &RunState, by: &Actor) -> bool {
    let is_same = |starter: &Actor| {
        starter.person() == by.person() || run_of(by).is_some_and(|run| run_of(starter) == Some(run))
    };
    state.starters().any(is_same)
}

/// Whether this person may cast this ballot.
fn check_ballot(
    draft: &Draft<'_>,
    path: &StepPath,
    approval: &ApprovalState,
    ballot: &VoteCast,
) -> Result<(), Refusal> {
    let terms = &approval.terms;
    let vote = ballot.vote;
    check_roles(path, &terms.roles, &ballot.roles)?;
    if is_self(draft.state, terms, &draft.meta.actor) {
        return Err(Refusal::SelfApproval(path.clone()));
    }
    if vote == Vote::Changes && !terms.changes {
        return Err(Refusal::NotOffered { path: path.clone(), vote });
    }
    let has_words = ballot.comment.as_ref().is_some_and(|comment| !comment.trim().is_empty())
        || ballot.comments.iter().any(|comment| !comment.text.trim().is_empty());
    if terms.comment.contains(&vote) && !has_words {
        return Err(Refusal::CommentNeeded { path: path.clone(), vote });
    }
    if ballot.edited.is_some() && (vote != Vote::Approve || approval.edit.is_none()) {
        let why = match approval.edit {
            None => "it offers no value to edit",
            Some(_) => "only who approves may replace the value",
        };
        return Err(Refusal::InvalidEdit { path: path.clone(), why: why.into() });
    }
    Ok(())
}

/// The value that replaces the shown one; `None`: it is the same.
fn replaced(
    draft: &Draft<'_>,
    path: &StepPath,
    approval: &ApprovalState,
    edited: &Payload,
) -> Result<Result<Option<JsonText>, Interrupt>, Refusal> {
    let refuse = |why: String| Refusal::InvalidEdit { path: path.clone(), why };
    let edited = edited.text().ok_or_else(|| refuse("a vote brings the value itself".into()))?;
    if edited.as_str().len() > EDIT_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the value", max: EDIT_BYTES_MAX });
    }
    let former = match settled(approval.value().value(draft.loaded)) {
        Err(interrupt) => return Ok(Err(interrupt)),
        Ok(former) => former.map_err(|failure| refuse(failure.message))?,
    };
    let given = edited.value();
    if given == former {
        return Ok(Ok(None));
    }
    let (is, was) = (type_name(&given), type_name(&former));
    if is != was && !former.is_null() {
        return Err(refuse(format!("the value is {was}, and {is} cannot take its place")));
    }
    Ok(Ok(Some(edited.clone())))
}

/// A value that an approver puts in the place of the shown one.
const EDIT_BYTES_MAX: usize = 1024 * 1024;

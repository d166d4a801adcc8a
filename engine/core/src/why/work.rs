//! Why a piece of work is where it is: to be started, at work, being ended, waiting for its next attempt or for people.

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, StepPath};
use everfold_base::text::one_line;
use everfold_language::definition::{ExecutorTask, Setting, Work};

use super::budget::budgets;
use super::cause::{CauseKind, CauseNode, CauseSubject};
use super::condition::clipped;
use super::explainer::Explainer;
use super::failure::of_failure;
use super::trail::Topic;
use crate::event::{BlockReason, StopReason, TimerId, TimerKind};
use crate::state::{AttemptEnding, Key, Stage, Unit};

/// Why the work of a step, or of an item of one, is where it is; `None`: nothing of it is open.
pub(super) fn of_unit(explainer: &Explainer<'_>, key: Key) -> Option<CauseNode> {
    let state = explainer.state;
    let (path, unit) = (state.path(key), state.unit_at(key)?);
    let id = state.attempt_id(key);
    if let Some(reason) = state.facts.stops.get(&id) {
        return Some(stopping(explainer, &id, *reason));
    }
    Some(match &unit.stage {
        Stage::Scheduled => start(explainer, key, &id, unit),
        Stage::Running => at_work(explainer, key, &id, unit),
        Stage::RetryAt(at) => {
            let sentence = format!("{} follows", attempt_of(explainer, key, unit));
            let cause = CauseNode::new(CauseKind::Retry, subject(&id), sentence).until(*at);
            explainer.shown_at(cause, Topic::Retry, &path).because(of_failure(explainer, &path))
        }
        Stage::Asking => asking(explainer, &id, unit),
        Stage::Idle => return waiting(explainer, key, &path, unit),
        Stage::Ended(ending) => {
            let sentence =
                format!("{} ended{}, and the engine decides what follows", attempt(&id), how(*ending));
            CauseNode::new(CauseKind::Engine, subject(&id), sentence)
        }
        Stage::Unblocked(_) if state.facts.blocked.contains(&key) => {
            let items = state.facts.steps[key.step].items.as_ref();
            let at_once = items.and_then(|items| items.max_in_flight);
            let at_once = at_once.map(|max| format!(", {max} at once")).unwrap_or_default();
            let sentence = format!("{path} is tried again when another item has ended{at_once}");
            CauseNode::new(CauseKind::Need, subject(&id), sentence)
        }
        Stage::Unblocked(_) => {
            let sentence = format!("a person decided on {path}, and the engine does what follows");
            CauseNode::new(CauseKind::Engine, subject(&id), sentence)
        }
        Stage::Blocked(reason) => blocked(explainer, &path, reason),
        Stage::Succeeded | Stage::Failed | Stage::Skipped => return None,
    })
}

fn subject(id: &AttemptId) -> CauseSubject {
    CauseSubject {
        round: Some(id.round.get()),
        attempt: Some(id.attempt.get()),
        ..CauseSubject::step(&id.path)
    }
}

fn attempt(id: &AttemptId) -> String {
    match id.round.get() {
        0 | 1 => format!("attempt {} of {}", id.attempt, id.path),
        round => format!("attempt {} of {} in round {round}", id.attempt, id.path),
    }
}

/// The attempt, of how many that count as tries.
fn attempt_of(explainer: &Explainer<'_>, key: Key, unit: &Unit) -> String {
    let state = explainer.state;
    let (path, retry) = (state.path(key), &state.graph.step(key.step).retry);
    match &retry.attempts {
        Setting::Fixed(of) if *of > 1 => format!("attempt {} of {path}, of {of} at most,", unit.attempt),
        _once_or_computed => attempt(&state.attempt_id(key)),
    }
}

fn how(ending: AttemptEnding) -> &'static str {
    match ending {
        AttemptEnding::Succeeded => " well",
        AttemptEnding::Failed => " with a failure",
        AttemptEnding::Lost(_) => " without a record",
        AttemptEnding::Asked | AttemptEnding::Answered => " with a question",
        AttemptEnding::Interrupted => ", interrupted,",
        AttemptEnding::Looked | AttemptEnding::Outdated => "",
    }
}

fn start(explainer: &Explainer<'_>, key: Key, id: &AttemptId, unit: &Unit) -> CauseNode {
    let state = explainer.state;
    let subject = CauseSubject { name: function(explainer, key, unit), ..subject(id) };
    let cause = |kind, sentence: String| {
        let cause = CauseNode::new(kind, subject.clone(), sentence).since(unit.since);
        explainer.shown_at(cause, Topic::Work, &id.path)
    };
    if state.waits_for_funds(id) {
        let sentence = format!("{} waits for money", attempt(id));
        let budgets = budgets(explainer);
        return cause(CauseKind::Budget, sentence).because(budgets);
    }
    if state.facts.held.contains(&key) {
        return cause(
            CauseKind::Start,
            format!("{} begins when what the rework stops has ended", attempt(id)),
        );
    }
    if state.facts.workspace.is_none() && state.graph.uses_workspace(key.step) {
        return cause(CauseKind::Workspace, format!("{} begins when the workspace is made", attempt(id)));
    }
    cause(CauseKind::Start, format!("{} is to begin", attempt(id)))
}

/// The function that work calls, where it calls one.
fn function(explainer: &Explainer<'_>, key: Key, unit: &Unit) -> Option<String> {
    let Some(Work::Task(task)) = &explainer.state.graph.step(key.step).work else { return None };
    let name = task.spec.source()["name"].as_str()?.to_owned();
    (unit.kind == "function").then_some(name)
}

fn at_work(explainer: &Explainer<'_>, key: Key, id: &AttemptId, unit: &Unit) -> CauseNode {
    let state = explainer.state;
    let is_run =
        matches!(&state.graph.step(key.step).work, Some(Work::Task(task)) if task.kind == ExecutorTask::RUN);
    let (kind, subject, sentence) = if let (true, Some(child)) = (is_run, state.child_of(id)) {
        let sentence = format!("{} waits for the run {} that it started", id.path, child.short());
        (CauseKind::Child, CauseSubject { run: Some(child), ..subject(id) }, sentence)
    } else if let Some(hold) = state.worker_hold(id).filter(|hold| hold.end.is_none()) {
        let sentence = format!("{} is held by the worker {}", attempt(id), hold.holder.worker);
        (CauseKind::Work, subject(id).named(&hold.holder.worker), sentence)
    } else {
        (CauseKind::Work, subject(id), format!("{} is at work", attempt(id)))
    };
    let limit = TimerId { id: id.clone(), kind: TimerKind::Timeout, name: String::new() };
    let until = state.facts.timers.get(&limit).copied();
    let cause = CauseNode::new(kind, subject, sentence).since(unit.since).until(until);
    explainer.shown_at(cause, Topic::Work, &id.path)
}

/// An attempt that is being ended.
pub(super) fn stopping(explainer: &Explainer<'_>, id: &AttemptId, reason: StopReason) -> CauseNode {
    let why = match reason {
        StopReason::Rework => "its step was sent back",
        StopReason::Cancel => "the run was cancelled",
        StopReason::RunEnded => "the run ends",
        StopReason::Timeout => "its time limit passed",
        StopReason::Person => "a person cancelled its step",
        StopReason::Budget => "a budget is used up",
        StopReason::Signal => "a signal ended its round",
        StopReason::Deadline => "the deadline of its round passed",
        StopReason::Parent => "the run that started it was cancelled",
        StopReason::Interrupt => "it was interrupted",
    };
    let sentence = format!("{} is being ended: {why}", attempt(id));
    explainer.shown_at(CauseNode::new(CauseKind::Stop, subject(id), sentence), Topic::Stop, &id.path)
}

fn people(roles: &[String]) -> String {
    if roles.is_empty() { "anyone".to_owned() } else { roles.join(" or ") }
}

fn asking(explainer: &Explainer<'_>, id: &AttemptId, unit: &Unit) -> CauseNode {
    let (kind, sentence, since) = if let Some(question) = unit.question() {
        let title = clipped(&one_line(&question.title));
        let sentence =
            format!("{} waits for an answer of {}: {title}", id.path, people(&question.terms.roles));
        (CauseKind::Question, sentence, question.asked_at)
    } else if let Some(approval) = unit.approval() {
        let title = clipped(&one_line(&approval.title));
        let votes = match (approval.terms.quorum, approval.votes.len()) {
            (0 | 1, 0) => String::new(),
            (quorum, votes) => format!(", {votes} of {} votes", quorum.max(1)),
        };
        let who = people(&approval.terms.roles);
        let sentence = format!("{} waits for the approval of {who}{votes}: {title}", id.path);
        (CauseKind::Approval, sentence, approval.asked_at)
    } else {
        let sentence = format!("{} is about to ask people", id.path);
        return CauseNode::new(CauseKind::Engine, subject(id), sentence);
    };
    let cause =
        CauseNode::new(kind, subject(id), sentence).since(since).until(explainer.state.expires_at(id));
    explainer.shown_at(cause, Topic::Asked, &id.path)
}

/// A step that waits for a signal or a moment.
fn waiting(explainer: &Explainer<'_>, key: Key, path: &StepPath, unit: &Unit) -> Option<CauseNode> {
    let state = explainer.state;
    let Some(Work::Wait(wait)) = &state.graph.step(key.step).work else { return None };
    let timer = |kind| {
        let id = TimerId { id: state.attempt_id(key), kind, name: String::new() };
        state.facts.timers.get(&id).copied()
    };
    let since = state.waits_since(path).or(unit.since).or(state.facts.steps[key.step].started_at);
    let cause = match &wait.signal {
        Some(name) => {
            let sentence = format!("{path} waits for the signal {name}");
            CauseNode::new(CauseKind::Signal, CauseSubject::step(path).named(name), sentence)
                .until(timer(TimerKind::Signal))
        }
        None => {
            CauseNode::new(CauseKind::Timer, CauseSubject::step(path), format!("{path} waits for its time"))
                .until(timer(TimerKind::Wait))
        }
    };
    Some(explainer.shown_at(cause.since(since), Topic::Round, path))
}

/// A step or item that a person decides on.
pub(super) fn blocked(explainer: &Explainer<'_>, path: &StepPath, reason: &BlockReason) -> CauseNode {
    let state = explainer.state;
    let stopped = stopped_by_budget(explainer, path, reason);
    let message = match stopped {
        Some(failure) => format!("its work was stopped: {}", failure.message),
        None => super::block::block_message(reason, state.said_of_gate(&path.step)),
    };
    let budgets = stopped.map(|_failure| budgets(explainer)).unwrap_or_default();
    let sentence = format!("{path} waits for a person to decide, because {}", clipped(&message));
    let cause = CauseNode::new(CauseKind::Blocked, CauseSubject::step(path), sentence)
        .since(state.blocked_since(path));
    let round = state.step(&path.step).map(|(_, facts)| facts.round).unwrap_or_default();
    let of_gate = reason.gate().and_then(|gate| super::gate::verdict(explainer, &path.step, gate, round));
    let why = of_gate.or_else(|| of_failure(explainer, path));
    explainer.shown_at(cause, Topic::Blocked, path).because(why).because(budgets)
}

/// The failure that names the budget which stopped the work of a blocked step or item. How its process ended does not.
fn stopped_by_budget<'a>(
    explainer: &Explainer<'a>,
    path: &StepPath,
    reason: &BlockReason,
) -> Option<&'a Failure> {
    let state = explainer.state;
    let key = state.key(path).filter(|_| *reason == BlockReason::Failed)?;
    let of_step = state.facts.steps[key.step].failure.as_ref().filter(|_| key.item.is_none());
    let failure = of_step.or_else(|| state.unit_at(key)?.failure.as_ref())?;
    (failure.kind == FailureKind::Budget).then_some(failure)
}

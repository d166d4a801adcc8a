//! An attempt, an item or the gates of a step ended: what follows.

use std::time::Duration;

use serde_json::json;

use super::super::draft::{Draft, Interrupt, settled};
use super::super::otherwise;
use super::super::route::{self, Next, RoutePlace};
use super::super::scope::{RunScope, failure_value};
use super::super::start::LABELS_BYTES_MAX;
use super::super::{approval_start, attempt_report, gate, question, step_start};
use super::refused::{Refused, refusal_of};
use super::retry::{go_on, retry};
use super::retry_refused;
use crate::event::{
    BlockReason, SkipReason, StepBlocked, StepFailed, StepSkipped, StepSucceeded, UnblockDecision,
};
use crate::seen::{CHANGED_CODE, NOT_APPROVED_CODE};
use crate::state::{AttemptEnding, Key, Phase, RunState, Settling, Stage};
use everfold_base::failure::{Failure, FailureKind, SECRET_CODE};
use everfold_language::definition::{ATTEMPTS_MAX, LOST_MAX, OnLost, Retry, Routes, Step, Work};

pub(in crate::decide) fn settle(draft: &mut Draft<'_>, key: Key) -> Result<(), Interrupt> {
    if key.item.is_some() {
        return item(draft, key);
    }
    let Phase::Settling(settling) = draft.state.facts.steps[key.step].phase.clone() else { return Ok(()) };
    match settling {
        Settling::Work => work(draft, key),
        Settling::Items => items(draft, key),
        Settling::GateFailed => gate::failed(draft, key.step),
        Settling::GateOpen { permanent } => super::super::gate_poll::open(draft, key.step, permanent),
        Settling::GateBroken => super::super::gate_poll::broken(draft, key.step),
        Settling::GatesPassed => passed(draft, key),
        Settling::Cut => cut(draft, key),
        Settling::Unheard => unheard(draft, key),
        Settling::Unblocked(decision, reason) => retry_refused::decided(draft, key, decision, &reason),
    }
}

/// An attempt of the step failed, vanished or asked, or people decided against it.
fn work(draft: &mut Draft<'_>, key: Key) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(key.step);
    let unit = &draft.state.facts.steps[key.step].unit;
    match &unit.stage {
        Stage::Ended(AttemptEnding::Asked) => return question::raise(draft, key),
        Stage::Ended(AttemptEnding::Answered) => return step_start::answered(draft, key),
        Stage::Ended(AttemptEnding::Looked) => return approval_start::looked(draft, key),
        Stage::Ended(AttemptEnding::Outdated) => return step_start::again(draft, key, Duration::ZERO),
        Stage::Ended(AttemptEnding::Interrupted) => {
            go_on(draft, key);
            return Ok(());
        }
        _ended_otherwise => {}
    }
    if let Some(refused) = Refused::of(step, [unit]) {
        let failure = unit.failure.clone().unwrap_or_else(|| Failure::new(FailureKind::Rejected, "rejected"));
        return against(draft, key, refused, failure);
    }
    let failure = unit.failure.clone().unwrap_or_else(|| Failure::new(FailureKind::Error, "the work failed"));
    if let Stage::Ended(AttemptEnding::Lost(fallback)) = unit.stage {
        match on_lost(step, fallback, unit.lost) {
            OnLost::Retry => return retry(draft, key, Duration::ZERO),
            OnLost::Block => {
                let (id, message) = (draft.state.attempt_id(key), failure.message);
                draft.record(StepBlocked {
                    path: id.path,
                    round: id.round,
                    reason: BlockReason::Lost,
                    message,
                });
                return Ok(());
            }
            OnLost::Fail => {}
        }
    }
    match settled(may_retry(draft, key, step, &failure))? {
        Ok(Some(pause)) => retry(draft, key, pause),
        Ok(None) => failed(draft, key, step, failure),
        Err(broken) => failed(draft, key, step, broken),
    }
}

fn on_lost(step: &Step, fallback: OnLost, lost: u32) -> OnLost {
    let wanted = OnLost::of_step(step.on_lost, step.idempotent, fallback);
    if wanted == OnLost::Retry && lost > step.retry.lost.unwrap_or(LOST_MAX) { OnLost::Block } else { wanted }
}

/// The pause before the next attempt, if there is to be one.
fn may_retry(
    draft: &Draft<'_>,
    key: Key,
    step: &Step,
    failure: &Failure,
) -> Result<Option<Duration>, everfold_language::expr::EvalError> {
    let scope = RunScope::of(draft.state, draft.loaded, key);
    let attempts = step.retry.attempts.resolve_within("`attempts`", 1..=ATTEMPTS_MAX, &scope)?;
    // Attempts that vanished are not tries that failed, unless the step says that they are.
    let made = draft.state.unit_at(key).map_or(0, |unit| {
        let made = unit.tries() + u32::from(failure.kind == FailureKind::Lost && unit.lost > 0);
        // Nor are those that a person interrupted.
        let made = made.saturating_sub(draft.state.interruptions(&draft.state.attempt_id(key)));
        // A person who has it retried gives it all its tries again.
        made.saturating_sub(unit.tries_before)
    });
    // What a budget stopped would be stopped again, and a secret that is not there, or an approval of other bytes, is not
    // there again, unless the step asks for it by name.
    let is_blind = failure.kind == FailureKind::Budget || is_hopeless(failure);
    let is_covered =
        !(is_blind && step.retry.only.is_empty()) && step.retry.covers(failure.kind, failure.code.as_deref());
    Ok((is_covered && made < attempts).then(|| backoff(&step.retry, made, draft.state, key)))
}

/// Whether another attempt would fail the same way.
fn is_hopeless(failure: &Failure) -> bool {
    matches!(failure.code.as_deref(), Some(SECRET_CODE | CHANGED_CODE | NOT_APPROVED_CODE))
}

/// Doubles from the first pause to the longest; up to a quarter is put on top, by the run's entropy,
/// so that runs that failed together do not come back together.
fn backoff(retry: &Retry, made: u32, state: &RunState, key: Key) -> Duration {
    let longest = retry.backoff_max.0;
    let doubled = retry.backoff_min.0.saturating_mul(2_u32.saturating_pow(made.saturating_sub(1).min(30)));
    let pause = doubled.min(longest);
    let entropy = state.facts.started.as_ref().map_or(0, |started| started.entropy);
    let seed = blake3::hash(format!("{entropy}/{}", state.attempt_id(key)).as_bytes());
    let drawn = u32::from(seed.as_bytes()[0]);
    (pause + pause.mul_f64(f64::from(drawn) / 1024.0)).min(longest)
}

/// The round was ended before its time: nothing is tried again.
fn cut(draft: &mut Draft<'_>, key: Key) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let cut = draft.state.facts.steps[key.step].order.cut.clone();
    let failure = cut.map_or_else(|| Failure::new(FailureKind::Cancelled, "cancelled"), |cut| cut.failure());
    failed(draft, key, graph.step(key.step), failure)
}

/// The signal that was waited for did not come in time.
fn unheard(draft: &mut Draft<'_>, key: Key) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(key.step);
    let Some(Work::Wait(wait)) = &step.work else { return Ok(()) };
    let name = wait.signal.as_deref().unwrap_or_default();
    let failure = Failure::new(FailureKind::Timeout, format!("no signal “{name}” came in time"))
        .with_hint("send it with `everfold signal`, or give the wait a longer `timeout`");
    if wait.on_timeout.is_empty() {
        return failed(draft, key, step, failure);
    }
    follow(draft, key, &wait.on_timeout, "on_timeout", failure, BlockReason::Failed, (None, None))
}

/// The work failed for good.
fn failed(draft: &mut Draft<'_>, key: Key, step: &Step, failure: Failure) -> Result<(), Interrupt> {
    follow(draft, key, &step.on_fail, "on_fail", failure, BlockReason::Failed, (None, None))
}

fn follow(
    draft: &mut Draft<'_>,
    key: Key,
    routes: &Routes,
    place: &str,
    failure: Failure,
    blocked: BlockReason,
    (by, findings): (Option<String>, Option<String>),
) -> Result<(), Interrupt> {
    let id = draft.state.attempt_id(key);
    let place = RoutePlace { name: format!("{}/{place}", id.path.step), routes, by_person: by.is_some() };
    let next = {
        let scope = RunScope::of(draft.state, draft.loaded, key).with("failure", failure_value(&failure));
        settled(route::choose(draft.state, &scope, &place, Some(&failure)))?
    };
    let (next, failure) = match next {
        Ok(next) => (next.unwrap_or(Next::Fail(None)), failure),
        Err(broken) => (Next::Fail(None), broken),
    };
    let findings = findings.map_or_else(|| route::failure_findings(&failure), |text| json!(text));
    route::take(
        draft,
        next,
        route::From { key, id, gate: None, is_stale: false, by, failure, blocked, findings },
    )
}

/// All items are over, and some failed.
fn items(draft: &mut Draft<'_>, key: Key) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(key.step);
    let Some(items) = &draft.state.facts.steps[key.step].items else { return Ok(()) };
    let first = items.units.iter().enumerate().find(|(_, unit)| unit.stage == Stage::Failed);
    let (failed_count, total) = (items.failed, items.total());
    let failure = match first {
        None => Failure::new(FailureKind::Error, format!("{failed_count} of {total} items failed")),
        Some((index, unit)) => {
            let cause =
                unit.failure.clone().unwrap_or_else(|| Failure::new(FailureKind::Error, "the item failed"));
            let message = format!("{failed_count} of {total} items failed; item {index}: {}", cause.message);
            Failure { message, ..cause }
        }
    };
    match Refused::of_step(step, &draft.state.facts.steps[key.step]) {
        Some(refused) => against(draft, key, refused, failure),
        None => failed(draft, key, step, failure),
    }
}

/// The gates passed: the step succeeds, or its `on_success` leads elsewhere.
fn passed(draft: &mut Draft<'_>, key: Key) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(key.step);
    let prepared = {
        let state = &*draft.state;
        let output = settled(RunScope::run(state, draft.loaded).output(&state.facts.steps[key.step]));
        // Only routes and labels may need the output; without them it is not loaded.
        let wants_output = !step.on_success.is_empty() || !step.labels.is_empty();
        let output = if wants_output { output?.unwrap_or_default() } else { json!(null) };
        let scope = RunScope::of(state, draft.loaded, key).with("output", output);
        let place = RoutePlace {
            name: format!("{}/on_success", step.id),
            routes: &step.on_success,
            by_person: false,
        };
        settled(route::choose(state, &scope, &place, None).and_then(|next| {
            let labels = super::super::render::render_texts(&step.labels, &scope)?;
            Ok((next, labels))
        }))?
    };
    let prepared = prepared.and_then(|(next, labels)| match &next {
        None | Some(Next::Continue | Next::Finish(_))
            if attempt_report::labels_too_large(draft.state, &labels) =>
        {
            let message = format!(
                "with those of “{}” the labels of the run would be larger than {LABELS_BYTES_MAX} bytes",
                step.id
            );
            Err(Failure::new(FailureKind::Validation, message)
                .with_hint("a label is for finding a run: give it a word of the output, not the output"))
        }
        _they_fit => Ok((next, labels)),
    });
    let id = draft.state.attempt_id(key);
    let (path, round) = (id.path.clone(), id.round);
    match prepared {
        Err(failure) => {
            return otherwise::fail(draft, path, round, failure);
        }
        Ok((None | Some(Next::Continue), labels)) => {
            draft.record(StepSucceeded { path, round, labels, finish: None, output: None })
        }
        Ok((Some(Next::Finish(status)), labels)) => {
            draft.record(StepSucceeded { path, round, labels, finish: Some(status), output: None });
        }
        Ok((Some(next), _)) => {
            let failure = Failure::new(FailureKind::Error, format!("the route after “{}” says so", step.id));
            let findings = route::failure_findings(&failure);
            let blocked = BlockReason::Failed;
            return route::take(
                draft,
                next,
                route::From { key, id, gate: None, is_stale: false, by: None, failure, blocked, findings },
            );
        }
    }
    Ok(())
}

fn against(draft: &mut Draft<'_>, key: Key, refused: Refused<'_>, failure: Failure) -> Result<(), Interrupt> {
    let Refused { routes, place, by, findings } = refused;
    let blocked = if by.is_some() { BlockReason::Rejected } else { BlockReason::Failed };
    follow(draft, key, routes, place, failure, blocked, (by, findings))
}

/// An attempt of an item failed or vanished, or a person decided on the item.
fn item(draft: &mut Draft<'_>, key: Key) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(key.step);
    let Some(unit) = draft.state.unit_at(key) else { return Ok(()) };
    let failure = unit.failure.clone().unwrap_or_else(|| Failure::new(FailureKind::Error, "the item failed"));
    let (stage, lost, is_cut) = (unit.stage.clone(), unit.lost, unit.cut.is_some());
    let id = draft.state.attempt_id(key);
    let (path, round) = (id.path, id.round);
    let final_failure = |failure| StepFailed {
        path: path.clone(),
        round,
        failure,
        tolerated: false,
        finish: None,
        output: None,
    };
    let is_refused = refusal_of(unit).is_some();
    match stage {
        Stage::Ended(AttemptEnding::Asked) => return question::raise(draft, key),
        Stage::Ended(AttemptEnding::Answered) => return step_start::answered(draft, key),
        Stage::Ended(AttemptEnding::Looked) => return approval_start::looked(draft, key),
        Stage::Ended(AttemptEnding::Outdated) => return step_start::again(draft, key, Duration::ZERO),
        Stage::Ended(AttemptEnding::Interrupted) if !is_cut => go_on(draft, key),
        // The step's route follows when all items are over.
        Stage::Ended(_) if is_refused => draft.record(final_failure(failure)),
        Stage::Ended(AttemptEnding::Lost(fallback)) => match on_lost(step, fallback, lost) {
            OnLost::Retry => return retry(draft, key, Duration::ZERO),
            OnLost::Block => {
                let message = failure.message;
                draft.record(StepBlocked { path: path.clone(), round, reason: BlockReason::Lost, message });
            }
            OnLost::Fail => draft.record(final_failure(failure)),
        },
        Stage::Ended(_) if is_cut => draft.record(final_failure(failure)),
        Stage::Ended(_) => match settled(may_retry(draft, key, step, &failure))? {
            Ok(Some(pause)) => return retry(draft, key, pause),
            Ok(None) => draft.record(final_failure(failure)),
            Err(broken) => draft.record(final_failure(broken)),
        },
        Stage::Unblocked(decision) => match decision {
            UnblockDecision::Retry => return retry(draft, key, Duration::ZERO),
            UnblockDecision::Skip => {
                draft.record(StepSkipped {
                    path: path.clone(),
                    round,
                    reason: SkipReason::Person,
                    output: None,
                });
            }
            UnblockDecision::Fail => draft.record(final_failure(failure)),
            UnblockDecision::Proceed | UnblockDecision::Recheck => {
                let labels = std::collections::BTreeMap::new();
                draft.record(StepSucceeded { path: path.clone(), round, labels, finish: None, output: None });
            }
        },
        _in_progress => {}
    }
    Ok(())
}

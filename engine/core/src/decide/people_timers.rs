//! The timers of an approval or a question: when its time is over, when people are reminded.
//!
//! Law: what people are asked with a time limit has its expiry timer. Both are recorded in one batch, so only a history
//! that was cut between the two, by a fork, lacks the timer: the fork sets it.

use super::draft::Draft;
use super::render::resolve_pause;
use super::scope::RunScope;
use crate::event::{AskedBy, TimerId, TimerKind, TimerSet};
use crate::state::{Key, RunState, Unit};
use everfold_base::id::AttemptId;
use everfold_language::definition::Work;
use everfold_language::expr::{EvalError, Loaded};
use std::time::Duration;

/// How long people are waited for, and when they are first reminded.
pub(super) fn set_limits(
    draft: &mut Draft<'_>,
    id: &AttemptId,
    timeout: Option<Duration>,
    first: Option<Duration>,
) {
    for (kind, span) in [(TimerKind::Expiry, timeout), (TimerKind::Reminder, first)] {
        if let Some(span) = span {
            let timer = TimerId { id: id.clone(), kind, name: String::new() };
            draft.record(TimerSet { timer, at: draft.now().plus(span) });
        }
    }
}

/// The requests to people that are to have an expiry timer and lack it, with the time that each is given.
pub(super) fn without_expiry(
    state: &RunState,
    loaded: &Loaded,
) -> Result<Vec<(AttemptId, Duration)>, EvalError> {
    let mut found = Vec::new();
    for key in state.facts.asking.iter().copied() {
        let id = state.attempt_id(key);
        if state.expires_at(&id).is_none()
            && let Some(timeout) = timeout(state, loaded, key)?
        {
            found.push((id, timeout));
        }
    }
    Ok(found)
}

/// How long the people whom a unit asks have, as its step says.
fn timeout(state: &RunState, loaded: &Loaded, key: Key) -> Result<Option<Duration>, EvalError> {
    let step = state.graph.step(key.step);
    let asks_in_work =
        state.unit_at(key).and_then(Unit::question).map(|it| it.terms.by) == Some(AskedBy::Work);
    let setting = match &step.work {
        _ if asks_in_work => step.ask.as_ref().and_then(|ask| ask.timeout.as_ref()),
        Some(Work::Approval(approval)) => approval.timeout.as_ref(),
        Some(Work::Question(question)) => question.timeout.as_ref(),
        Some(Work::Task(_) | Work::Wait(_)) | None => None,
    };
    resolve_pause(setting, "`timeout`", &RunScope::of(state, loaded, key))
}

/// Sets the expiry timers that a copied history lacks, of what the run still asks: it has asked for no time yet, so all of
/// the time is left.
pub(super) fn set_lacking(draft: &mut Draft<'_>, lacking: Vec<(AttemptId, Duration)>) {
    for (id, timeout) in lacking {
        let asks = draft.state.current(&id).is_some_and(|key| draft.state.facts.asking.contains(&key));
        if asks && !draft.is_full() {
            set_limits(draft, &id, Some(timeout), None);
        }
    }
}

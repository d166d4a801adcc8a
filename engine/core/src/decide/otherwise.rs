//! The `else` of a step: its output where a round ends without one.
//!
//! Law: it is rendered once, when the end of the round is decided, and stands in the event of that end. One that cannot
//! be rendered makes the step fail, because later steps take its output for granted.

use super::draft::{Draft, Interrupt, settled};
use super::scope::{RunScope, failure_value};
use crate::event::{SkipReason, StepFailed, StepSkipped};
use crate::state::Key;
use everfold_base::failure::Failure;
use everfold_base::id::{Round, StepPath};
use everfold_base::json::{Payload, Value};

/// The `else` of a step, rendered; `None` where it has none, and for an item.
pub(super) fn output(
    draft: &mut Draft<'_>,
    path: &StepPath,
    failure: Option<&Failure>,
) -> Result<Result<Option<Payload>, Failure>, Interrupt> {
    let Some(key) = draft.state.key(path).filter(|key| key.item.is_none()) else { return Ok(Ok(None)) };
    let graph = draft.state.graph.clone();
    let Some(otherwise) = &graph.step(key.step).otherwise else { return Ok(Ok(None)) };
    let rendered = {
        let failure = failure.map_or(Value::Null, failure_value);
        let scope = RunScope::of(draft.state, draft.loaded, Key::step(key.step)).with("failure", failure);
        settled(otherwise.render(&scope))?
    };
    Ok(rendered.map(|value| Some(draft.payload_of(&value))))
}

/// A step is skipped, with its `else`.
pub(super) fn skip(
    draft: &mut Draft<'_>,
    path: StepPath,
    round: Round,
    reason: SkipReason,
) -> Result<(), Interrupt> {
    match output(draft, &path, None)? {
        Ok(output) => draft.record(StepSkipped { path, round, reason, output }),
        Err(failure) => broken(draft, path, round, failure),
    }
    Ok(())
}

/// The failure of a step is tolerated, with its `else`.
pub(super) fn tolerate(
    draft: &mut Draft<'_>,
    path: StepPath,
    round: Round,
    failure: Failure,
) -> Result<(), Interrupt> {
    match output(draft, &path, Some(&failure))? {
        Ok(output) => {
            draft.record(StepFailed { path, round, failure, tolerated: true, finish: None, output });
        }
        Err(failure) => broken(draft, path, round, failure),
    }
    Ok(())
}

/// A step fails for good; what fails in `on_finish` is tolerated.
pub(super) fn fail(
    draft: &mut Draft<'_>,
    path: StepPath,
    round: Round,
    failure: Failure,
) -> Result<(), Interrupt> {
    let is_finish = draft.state.key(&path).is_some_and(|key| draft.state.graph.is_finish(key.step));
    if is_finish {
        return tolerate(draft, path, round, failure);
    }
    draft.record(StepFailed { path, round, failure, tolerated: false, finish: None, output: None });
    Ok(())
}

/// The `else` itself cannot be rendered.
pub(super) fn broken(draft: &mut Draft<'_>, path: StepPath, round: Round, failure: Failure) {
    let tolerated = draft.state.key(&path).is_some_and(|key| draft.state.graph.is_finish(key.step));
    let failure =
        Failure { message: format!("`else` of “{}”: {}", path.step, failure.message), ..failure };
    draft.record(StepFailed { path, round, failure, tolerated, finish: None, output: None });
}

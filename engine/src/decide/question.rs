//! People are asked for answers: by a step, or by work in the middle of it.

use super::draft::{Draft, Interrupt};
use super::refusal::Refusal;
use super::work::End;
use crate::id::AttemptId;
use crate::json::JsonText;

/// Work ended with a question.
pub(super) fn asked_by_work(_draft: &mut Draft<'_>, _id: &AttemptId, _ask: &JsonText, _end: End<'_>) {}

pub(super) fn save(
    _draft: &mut Draft<'_>,
    id: &AttemptId,
    _answer: &JsonText,
    _roles: &[String],
) -> Result<(), Refusal> {
    Err(Refusal::NotAsking(id.path.clone()))
}

pub(super) fn answer(
    _draft: &mut Draft<'_>,
    id: &AttemptId,
    _answer: &JsonText,
    _roles: &[String],
) -> Result<Result<(), Interrupt>, Refusal> {
    Err(Refusal::NotAsking(id.path.clone()))
}

//! Signals: who hears them, and what follows.

use super::draft::{Draft, Interrupt};
use super::refusal::Refusal;
use crate::json::JsonText;

pub(super) fn receive(
    _draft: &mut Draft<'_>,
    _name: &str,
    _payload: &JsonText,
    _delivery: Option<&String>,
) -> Result<Result<(), Interrupt>, Refusal> {
    Ok(Ok(()))
}

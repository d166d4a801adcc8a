//! What every request of a person is refused for: a run that has ended, a text that is too long.

use super::refusal::Refusal;
use crate::state::RunState;

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

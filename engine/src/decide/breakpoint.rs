//! Steps that do not begin before a person says so.

use super::draft::Draft;
use super::refusal::Refusal;
use crate::id::StepId;

pub(super) fn set(_draft: &mut Draft<'_>, _steps: &[StepId]) -> Result<(), Refusal> {
    Ok(())
}

//! A run that waited for slots holds them all.

use super::draft::{Draft, Interrupt};
use super::refusal::Refusal;
use crate::event::AdmissionEvidence;

pub(super) fn admitted(
    _draft: &mut Draft<'_>,
    _admission: &[AdmissionEvidence],
) -> Result<Result<(), Interrupt>, Refusal> {
    Ok(Ok(()))
}

//! A run goes on from a copied history.

use super::draft::{Draft, Interrupt};
use super::refusal::Refusal;
use crate::input::Fork;

pub(super) fn fork(_draft: &mut Draft<'_>, _fork: &Fork) -> Result<Result<(), Interrupt>, Refusal> {
    Ok(Ok(()))
}

//! What a run may use up.

use super::draft::Draft;
use super::refusal::Refusal;

/// A budget without room.
pub(super) struct Over<'a> {
    pub(super) budget: &'a str,
    pub(super) counter: &'a str,
    pub(super) spent: u64,
    pub(super) reserved: u64,
    pub(super) limit: u64,
    pub(super) unit: &'a str,
}

/// What is added to a budget.
pub(super) struct More {
    pub(super) cost_micros: u64,
    pub(super) tokens: u64,
    pub(super) wall_ms: u64,
}

pub(super) fn exceeded(_draft: &mut Draft<'_>, _over: Over<'_>) {}

pub(super) fn restored(_draft: &mut Draft<'_>, _budget: &str, _counter: &str) {}

pub(super) fn raise(
    _draft: &mut Draft<'_>,
    _budget: Option<&String>,
    _more: More,
    _reason: Option<&String>,
) -> Result<(), Refusal> {
    Ok(())
}

//! What `decide` answers: the facts that follow, or the values that it needs first.

use crate::event::RunEvent;
use everfold_base::json::{BlobRef, JsonText};
use everfold_language::expr::ValueRef;

/// What `decide` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// These facts follow, already applied to the state; none for a late duplicate.
    Events(Batch),
    /// These values must be loaded first; the state is unchanged. Load them, and decide again.
    Needs(Vec<ValueRef>),
}

/// The facts of one input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order; the first one is the input's own fact.
    pub events: Vec<RunEvent>,
    /// Values that the events name instead of holding; to be durable before the events.
    pub blobs: Vec<(BlobRef, JsonText)>,
}

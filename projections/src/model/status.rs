//! What a read model reports of itself.

use everfold_base::id::{Position, RunId};
use serde::Serialize;

/// Why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelStop {
    /// The run of the event; none where something else failed.
    pub run: Option<RunId>,
    /// The event's place in the store.
    pub position: Position,
    /// What happened.
    pub what: String,
}

/// The status of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelStatus {
    /// Its name.
    pub name: &'static str,
    /// The version of its data's form.
    pub schema: u32,
    /// The last event that is folded.
    pub position: Position,
    /// Events of the log that are not folded yet.
    pub lag: u64,
    /// Up to where a crash would lose nothing of it.
    pub checkpoint: Position,
    /// Why it stopped.
    pub stopped: Option<ModelStop>,
    /// How far a running rebuild is.
    pub rebuilding: Option<Position>,
}

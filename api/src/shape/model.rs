//! The read models themselves.

use serde::Serialize;
use utoipa::ToSchema;

use super::id::RunId;

/// The read models.
#[derive(ToSchema, Serialize)]
pub(crate) struct Projections {
    /// The end of the log.
    head: u64,
    /// Whether they have reached it since they were opened.
    ready: bool,
    /// Their files, in bytes; null in memory.
    size_bytes: Option<u64>,
    items: Vec<ModelStatus>,
}

/// A read model.
#[derive(ToSchema, Serialize)]
pub(crate) struct ModelStatus {
    name: String,
    /// The version of its data's form.
    schema: u32,
    /// The last event that is folded.
    position: u64,
    /// Events of the log that are not folded yet.
    lag: u64,
    /// Up to where a crash would lose nothing of it.
    checkpoint: u64,
    /// Why it goes no further.
    stopped: Option<Stopped>,
    /// How far it has been built anew, where that is going on.
    rebuilding: Option<u64>,
}

/// Why a read model went no further.
#[derive(ToSchema, Serialize)]
pub(crate) struct Stopped {
    run: Option<RunId>,
    position: u64,
    what: String,
}

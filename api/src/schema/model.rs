//! The read models themselves.

use serde::Serialize;
use utoipa::ToSchema;

use super::id::RunIdSchema;

/// A read model.
#[derive(ToSchema, Serialize)]
#[schema(as = ModelStatus)]
pub(crate) struct ModelStatusSchema {
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
    stopped: Option<StoppedSchema>,
    /// How far it has been built anew, where that is going on.
    rebuilding: Option<u64>,
}

/// Why a read model went no further.
#[derive(ToSchema, Serialize)]
#[schema(as = Stopped)]
pub(crate) struct StoppedSchema {
    run: Option<RunIdSchema>,
    position: u64,
    what: String,
}

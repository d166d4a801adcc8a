//! The end of a stream, what its writer noted beside it, and a folded state of it.
//!
//! Law: values alone; the store never looks into a snapshot's bytes.

use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// What the runtime leaves beside a stream's head, so that a start reads what needs it and no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamNote {
    /// The stream has not ended.
    pub open: bool,
    /// Something is to be started or stopped: the stream is loaded at start.
    pub busy: bool,
    /// The earliest timer.
    pub wake_at: Option<Timestamp>,
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// The last event's version.
    pub version: Version,
    /// The last event's hash.
    pub hash: Hash,
    /// The last event's position.
    pub position: Position,
    /// The runtime's note of the last append.
    pub note: StreamNote,
}

/// A folded state, kept so that a load need not start at version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last version that the state holds.
    pub version: Version,
    /// The hash of that event: a snapshot of another history is not used.
    pub hash: Hash,
    /// The fold that made it; another fold's snapshot is not used.
    pub fold_version: u32,
    /// The state's bytes.
    pub bytes: Vec<u8>,
}

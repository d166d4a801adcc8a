//! The receipt of a write: its position in the log, and whether it is a replay of the first answer.

use everfold_engine::aggregate_store::Change;
use everfold_engine::driver::{Accepted, Halting, Saved, Started};
use everfold_engine::id::Position;

/// The receipt of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteReceipt {
    /// The last position that the write led to.
    pub position: Position,
    /// The write was done before under the same idempotency key, and this is its first answer.
    pub replayed: bool,
}

/// The receipt of a write without a key.
impl From<Position> for WriteReceipt {
    fn from(position: Position) -> Self {
        Self { position, replayed: false }
    }
}

impl From<Accepted> for WriteReceipt {
    fn from(Accepted { position, repeated, .. }: Accepted) -> Self {
        Self { position, replayed: repeated }
    }
}

impl From<Change> for WriteReceipt {
    fn from(Change { position, repeated, .. }: Change) -> Self {
        Self { position, replayed: repeated }
    }
}

impl From<Halting> for WriteReceipt {
    fn from(Halting { position, repeated, .. }: Halting) -> Self {
        Self { position, replayed: repeated }
    }
}

impl From<Saved> for WriteReceipt {
    fn from(Saved { position, replayed, .. }: Saved) -> Self {
        Self { position, replayed }
    }
}

/// A start whose run key another run holds records nothing, so it is never a replay.
impl From<Started> for WriteReceipt {
    fn from(Started { position, repeated, held, .. }: Started) -> Self {
        Self { position, replayed: repeated && !held }
    }
}

//! Where writes went, and whether they were answered from their first time.

use everfold_engine::driver::{Accepted, Halting, Saved, Started};
use everfold_engine::id::Position;
use everfold_engine::ledger::Change;

/// Where a write went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteReceipt {
    /// The place in the store that it led to.
    pub position: Position,
    /// It was done before under the same idempotency key, and this is the answer of then.
    pub replayed: bool,
}

/// A write that takes no key.
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

/// A start whose key another run has records nothing: it is answered anew each time.
impl From<Started> for WriteReceipt {
    fn from(Started { position, repeated, held, .. }: Started) -> Self {
        Self { position, replayed: repeated && !held }
    }
}

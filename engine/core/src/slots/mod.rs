//! Keys: their holders, and the runs that wait for them.
//!
//! Law: a key's stream says it all, and folding and deciding are pure. A run is granted a slot only
//! while fewer than its limit hold one; waiting runs go by priority, then by the order in which their
//! runs began. A key as an identity is a key with one slot. A run whose ancestor holds a slot of the key and
//! waits for it shares that slot: it is a sharer, and counts for nothing while its host is there.
//!
//! Called by the slot allocator of the runtime, the only writer of key streams.

mod decide;
mod event;
mod state;

pub use decide::{Availability, Demand, SlotInput, StartDemand, available, decide};
pub use event::{ReleaseReason, SlotEvent, SlotGranted, SlotReleased, SlotRequested, SlotShared};
pub use state::{Holder, SharedHolder, SlotState, WaitingRun};

use crate::event::{SlotKind, WantedSlot};
use everfold_base::envelope::{StreamId, StreamKind};
use everfold_base::json::Hash;

/// Longer keys are named by their hash.
const PLAIN_BYTES_MAX: usize = 200;

/// The stream of a key. Identities and concurrency keys of the same text are different ones.
#[must_use]
pub fn stream(slot: &WantedSlot) -> StreamId {
    let space = match slot.kind {
        SlotKind::Identity { .. } => "identity",
        SlotKind::Concurrency { .. } => "slot",
    };
    in_space(space, &slot.key)
}

/// The stream of a key that a run has as its identity.
#[must_use]
pub fn identity_stream(key: &str) -> StreamId {
    in_space("identity", key)
}

fn in_space(space: &str, key: &str) -> StreamId {
    let is_plain = key.len() <= PLAIN_BYTES_MAX && !key.chars().any(char::is_control);
    let id = match is_plain {
        true => format!("{space}:{key}"),
        false => format!("{space}#{}", Hash::of(key.as_bytes())),
    };
    StreamId { kind: StreamKind::Key, id: id.into() }
}

/// The slots in the order in which every run takes them, so that no two wait for each other.
#[must_use]
pub fn in_order(slots: &[WantedSlot]) -> Vec<(StreamId, WantedSlot)> {
    let mut slots: Vec<_> = slots.iter().map(|slot| (stream(slot), slot.clone())).collect();
    slots.sort_by(|(one, _), (other, _)| one.cmp(other));
    slots
}

#[cfg(test)]
mod tests;

//! What waits for the slot allocator's decisions: runs for their slots, starts for other starts.

use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, RunId};
use everfold_core::event::WantedSlot;
use tokio::sync::oneshot;

use crate::streams::slots::mailbox::SlotCheck;

/// A recorded run that waits for its slots.
#[derive(Clone)]
pub(super) struct SlotWaiter {
    pub(super) slots: Vec<(StreamId, WantedSlot)>,
    pub(super) priority: i32,
    pub(super) began: Position,
    pub(super) ancestors: Vec<RunId>,
    /// All slots were reserved for the run when it started, and it has waited for none since.
    pub(super) at_once: bool,
    /// The run is paused: a slot that it held would only keep other runs waiting.
    pub(super) is_paused: bool,
}

/// A start that waits until another start with the same key has begun or was given up.
pub(super) struct BlockedStart {
    pub(super) run: RunId,
    pub(super) slots: Vec<WantedSlot>,
    pub(super) ancestors: Vec<RunId>,
    pub(super) answer: oneshot::Sender<Result<SlotCheck, String>>,
}

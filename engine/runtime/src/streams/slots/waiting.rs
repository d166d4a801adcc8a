//! What waits for the slot allocator's decisions: runs for their slots, starts for other starts.

use std::collections::BTreeMap;

use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, RunId, Version};
use everfold_core::event::{SlotKind, WantedSlot};
use everfold_core::slots::Demand;
use tokio::sync::oneshot;

use crate::streams::slots::mailbox::{SlotCheck, StartingRun};
use crate::streams::slots::run_pauses::RunPauses;

/// A recorded run that waits for its slots.
#[derive(Clone)]
pub(super) struct SlotWaiter {
    /// The run's version that wants them.
    pub(super) version: Version,
    pub(super) slots: Vec<(StreamId, WantedSlot)>,
    pub(super) priority: i32,
    pub(super) began: Position,
    pub(super) ancestors: Vec<RunId>,
    /// All slots were reserved for the run when it started, and it has waited for none since.
    pub(super) at_once: bool,
    /// What pauses the run: a slot that it held would only keep other runs waiting.
    pub(super) pauses: RunPauses,
}

impl SlotWaiter {
    /// What the run wants of one key.
    pub(super) fn demand(&self, run: RunId, slot: &WantedSlot) -> Demand {
        Demand {
            run,
            slot: slot.clone(),
            priority: self.priority,
            began: self.began,
            ancestors: self.ancestors.clone(),
        }
    }
}

/// What is reserved for a start, or for a run that follows another one: the keys, and for each the run whose slot it takes
/// over. While that one holds the slot it is not reserved beside it.
pub(super) type ReservedSlots = BTreeMap<StreamId, Option<RunId>>;

/// A start that waits until another start with the same key has begun or was given up.
pub(super) struct BlockedStart {
    pub(super) start: StartingRun,
    pub(super) answer: oneshot::Sender<Result<SlotCheck, String>>,
}

/// Whether a slot is a key: one run has it.
pub(super) fn is_identity(slot: &WantedSlot) -> bool {
    matches!(slot.kind, SlotKind::Identity { .. })
}

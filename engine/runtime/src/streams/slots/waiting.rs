//! What waits for the slot allocator's decisions: runs for their slots, starts for other starts.

use std::collections::{BTreeMap, BTreeSet};

use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, RunId, Version};
use everfold_core::event::{HaltScope, SlotKind, WantedSlot};
use everfold_core::slots::Demand;
use everfold_core::state::{PausedBy, RunState};
use tokio::sync::oneshot;

use crate::streams::slots::mailbox::{SlotCheck, StartingRun};

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

/// What pauses a run that waits for its slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RunPauses {
    /// A person or a breakpoint pauses this run alone.
    alone: bool,
    /// The pauses of its pipeline and of the engine that it has recorded.
    halts: Vec<HaltScope>,
}

impl RunPauses {
    pub(crate) fn of(state: &RunState) -> Self {
        let alone = state.pauses().any(|pause| !matches!(pause.by, PausedBy::Halt(_)));
        Self { alone, halts: state.halts().cloned().collect() }
    }

    /// Whether the run is paused while these pipelines are, or the engine is. One whose pause is over counts as released,
    /// though it may not have recorded that yet: runs are released one after the other, and none is served before its turn.
    pub(super) fn hold(&self, in_force: &BTreeSet<HaltScope>) -> bool {
        self.alone || self.halts.iter().any(|halt| in_force.contains(halt))
    }
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

//! The slots that a run wants, and whether it has them.

use serde::{Deserialize, Serialize};

use super::{RunState, Started};
use crate::actor::Actor;
use crate::event::WantedSlot;
use crate::id::RunId;
use crate::json::Hash;
use crate::time::Timestamp;

/// What a run waits for before it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Queue {
    /// The slots, in the order of the file; it holds them from its admission to its end.
    pub(crate) slots: Vec<WantedSlot>,
    /// It is not admitted yet.
    pub(crate) waits: bool,
}

impl RunState {
    /// Whether the run waits for its slots: nothing of it begins before it has them.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.facts.queue.waits && self.facts.ended.is_none()
    }

    /// The slots and the key that the run wants or holds.
    #[must_use]
    pub fn slots(&self) -> &[WantedSlot] {
        &self.facts.queue.slots
    }

    /// Whether the run was asked to end.
    #[must_use]
    pub fn is_cancelling(&self) -> bool {
        self.facts.cancels > 0
    }

    /// Where a run works that has not begun, for what is looked up before that.
    pub(crate) fn set_folder(&mut self, cwd: Option<&str>) {
        self.facts.started = Some(Started {
            run: RunId(uuid::Uuid::nil()),
            pipeline: self.pipeline().to_owned(),
            definition: Hash::ZERO,
            title: None,
            cwd: cwd.map(str::to_owned),
            entropy: 0,
            at: Timestamp(0),
            by: Actor::Engine,
            parent: None,
            priority: 0,
            forked: None,
        });
    }
}

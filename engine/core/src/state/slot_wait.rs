//! The slots of a run and whether it waits for them; the working folder of a run that has not started.

use super::lifecycle::Started;
use super::run_state::RunState;
use crate::event::WantedSlot;
use everfold_base::actor::Actor;
use everfold_base::id::RunId;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

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

    /// Sets the working folder of a run that has not started: expressions of its start see it. The other fields are
    /// placeholders.
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

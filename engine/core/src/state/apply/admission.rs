//! Slots that a run waits for, and holds.

use crate::event::{RunAdmitted, RunQueued};
use crate::state::RunState;

impl RunState {
    pub(super) fn run_queued(&mut self, event: &RunQueued) {
        self.facts.queue.slots.clone_from(&event.slots);
        self.facts.queue.waits = true;
        self.touch_waiting();
    }

    pub(super) fn run_admitted(&mut self, _event: &RunAdmitted) {
        self.facts.queue.waits = false;
        self.touch_waiting();
    }
}

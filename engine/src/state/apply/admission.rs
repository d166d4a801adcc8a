//! Slots that a run waits for, and holds.

use crate::event::{RunAdmitted, RunQueued};
use crate::state::RunState;

impl RunState {
    pub(super) fn run_queued(&mut self, _event: &RunQueued) {}

    pub(super) fn run_admitted(&mut self, _event: &RunAdmitted) {}
}

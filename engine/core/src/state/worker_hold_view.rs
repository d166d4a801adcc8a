//! What is read of the attempts of workers ([`super::worker_holds`]).

use super::run_state::RunState;
use super::worker_holds::WorkerHold;
use everfold_base::id::AttemptId;

impl RunState {
    /// What is remembered of an attempt that a worker holds or held.
    #[must_use]
    pub fn worker_hold(&self, id: &AttemptId) -> Option<&WorkerHold> {
        self.facts.workers.get(id)
    }
}

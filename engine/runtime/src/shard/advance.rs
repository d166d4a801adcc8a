//! One run's turn: its queue is decided, and the append, read or dispatch that this needs is begun.
//!
//! Law: called for runs whose phase is ready, and never waits.

use crate::run::decide_queue::QueueOutcome;
use crate::run::loaded_run::{LoadedRun, RunPhase};
use crate::shard::core::ShardCore;
use crate::shard::job_done::WantedBy;
use everfold_core::state::RunState;

impl ShardCore {
    /// Decides the run's queue, and begins the append, read or dispatch that follows.
    pub(crate) fn advance(&mut self, loaded: &mut LoadedRun) {
        match loaded.decide_queue(&self.shared) {
            QueueOutcome::Rest => {
                loaded.append.tries = 0;
                if loaded.values.fetching == 0 {
                    loaded.values.of_plans = everfold_core::decide::Loaded::default();
                }
                // An input without events may have touched parts of the state.
                let is_touched = loaded.state.as_ref().is_some_and(RunState::is_touched);
                // A request that had the run loaded was decided first, and refused; the dispatch after the load is due.
                if is_touched || (loaded.dispatching.driven && loaded.dispatching.unlisted) {
                    self.dispatch(loaded);
                }
            }
            QueueOutcome::Append => match self.lease_early(loaded) {
                Ok(()) => self.send(loaded),
                Err(reason) => self.quarantine(loaded, reason),
            },
            QueueOutcome::Fetch(wanted) => {
                if loaded.batches.is_empty() {
                    loaded.phase = RunPhase::Fetching;
                    self.fetch(loaded, wanted, WantedBy::Decision);
                } else {
                    // Earlier decisions are appended first; the next turn asks for the values again.
                    self.send(loaded);
                }
            }
            QueueOutcome::Quarantine(reason) => self.quarantine(loaded, reason),
        }
    }
}

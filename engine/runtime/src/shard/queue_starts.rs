//! Attempts that are to be planned, and those whose turn has come.
//!
//! Law: runs are planned in turn, so that one with ten thousand items does not keep the others
//! waiting; the scheduler decides which starts first ([`crate::scheduler`]).

use crate::run::loaded_run::LoadedRun;
use crate::shard::core::{Shard, ShardCore};
use everfold_base::id::AttemptId;

/// Most attempts planned, and most attempts started, in one turn of the shard.
const STARTED_MAX: usize = 256;

impl ShardCore {
    /// An attempt is to be planned.
    pub(crate) fn enqueue_attempt(&mut self, loaded: &mut LoadedRun, id: AttemptId) {
        if loaded.unstarted.queue.is_empty() {
            self.start_queue.runs.push_back(loaded.run);
        }
        loaded.unstarted.queue.push_back(id);
        self.again = true;
    }

    /// Requests to a run are decided before more of its work begins: one may cancel that work.
    fn decide_requests_first(&mut self, loaded: &mut LoadedRun) {
        if loaded.has_request() {
            self.advance(loaded);
        }
    }
}

impl Shard {
    /// Starts attempts whose turn has come, and plans others, as far as this turn allows.
    pub(crate) fn start_waiting(&mut self) {
        if self.closing.is_some() || self.core.shared.is_holding() {
            return;
        }
        let scheduler = std::sync::Arc::clone(&self.core.shared.scheduler);
        scheduler.tick();
        let granted = scheduler.take(self.core.at, STARTED_MAX);
        self.core.again |= granted.len() == STARTED_MAX;
        for (id, grant) in granted {
            // Where the run is gone, the grant is given back.
            if let Some(loaded) = self.runs.get_mut(&id.run) {
                self.core.decide_requests_first(loaded);
                self.core.granted(loaded, &id.attempt, grant);
            }
        }
        for _ in 0..STARTED_MAX {
            let Some(run) = self.core.start_queue.runs.pop_front() else { return };
            let Some(loaded) = self.runs.get_mut(&run) else { continue };
            let Some(id) = loaded.unstarted.queue.pop_front() else { continue };
            if !loaded.unstarted.queue.is_empty() {
                self.core.start_queue.runs.push_back(run);
            }
            self.core.decide_requests_first(loaded);
            self.core.turn_came(loaded, &id);
        }
        self.core.again |= !self.core.start_queue.runs.is_empty();
    }
}

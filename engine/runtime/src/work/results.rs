//! Dispatches the result of each of a shard's tasks.
//!
//! Law: a run with work in progress stays in memory, so results of unknown runs belong to abandoned ones, and are
//! dropped.

use crate::shard::core::Shard;
use crate::work::work_done::WorkDone;

impl Shard {
    pub(crate) fn work_done(&mut self, done: WorkDone) {
        let Some(loaded) = self.runs.get_mut(&done.run()) else { return };
        match done {
            WorkDone::Attempt { id, event, .. } => self.core.attempt_event(loaded, &id, event),
            WorkDone::Probe { id, gate, probe_no, result, took_ms, .. } => {
                self.core.probed(loaded, id, gate, probe_no, result, took_ms);
            }
            WorkDone::Workspace { result, .. } => self.core.prepared(loaded, *result),
            WorkDone::Notice { channel, result, .. } => self.core.noticed(loaded, channel, result),
        }
    }
}

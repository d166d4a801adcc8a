//! Dispatches the result of each of a shard's tasks.
//!
//! Law: a run with work in progress stays in memory. So a result of a run that is not loaded belongs to an abandoned
//! one, and is dropped.

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
            WorkDone::Panicked { reason, .. } => self.core.quarantine(loaded, reason),
            WorkDone::Notice { channel, result, .. } => self.core.noticed(loaded, channel, result),
        }
    }
}

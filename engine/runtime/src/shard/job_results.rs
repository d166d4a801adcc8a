//! Dispatches the result of each of a shard's own jobs.
//!
//! Law: a run that left memory meanwhile is skipped.

use crate::shard::core::Shard;
use crate::shard::job_done::JobDone;

impl Shard {
    pub(crate) fn job_done(&mut self, done: JobDone) {
        match done {
            JobDone::Appended { run, result } => self.appended(run, result),
            JobDone::Loaded { run, result } => self.loaded(run, *result),
            JobDone::Values { run, wanted_by, result } => {
                if let Some(loaded) = self.runs.get_mut(&run) {
                    self.core.fetched(loaded, wanted_by, result);
                }
            }
            JobDone::EffectRules { run, wanted_by, result } => {
                if let Some(loaded) = self.runs.get_mut(&run) {
                    self.core.effect_rules_read(loaded, wanted_by, result);
                }
            }
            JobDone::Released { run, removed } => {
                if let Some(loaded) = self.runs.get_mut(&run) {
                    self.core.given_back(loaded, removed);
                }
            }
            JobDone::Copies { run, folders } => {
                if let Some(loaded) = self.runs.get_mut(&run) {
                    self.core.copies_listed(loaded, folders);
                }
            }
            JobDone::NoResult => {}
        }
    }
}

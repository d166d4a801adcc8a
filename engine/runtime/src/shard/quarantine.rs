//! Quarantine: a run that cannot continue is excluded from all work, visibly; the other runs go on.
//!
//! Law: an append or a load in flight is waited for first: a run has one of them in flight, and its result does not
//! undo the quarantine.

use crate::error::SubmitError;
use crate::run::loaded_run::{LoadedRun, RunPhase, SlotProgress};
use crate::shard::core::ShardCore;

impl ShardCore {
    /// Quarantines a run, after its append or load in flight where it has one. Inputs are kept up to a bound.
    pub(crate) fn quarantine(&mut self, loaded: &mut LoadedRun, reason: String) {
        if matches!(loaded.phase, RunPhase::Appending | RunPhase::Loading) {
            loaded.append.pending_quarantine.get_or_insert(reason);
        } else {
            self.quarantine_now(loaded, reason);
        }
    }

    pub(crate) fn quarantine_now(&mut self, loaded: &mut LoadedRun, reason: String) {
        tracing::error!(run = %loaded.run, reason, "run set aside");
        loaded.requeue();
        let error = SubmitError::SetAside { run: loaded.run, reason: reason.clone() };
        loaded.refuse(|queued| queued.answer.is_some(), &error);
        self.shared.quarantined().insert(loaded.run, reason.clone());
        // From here on the run ignores answers of the slot and budget allocators, and asks again after its next load.
        if let SlotProgress::Waiting { .. } = loaded.slots {
            loaded.slots = SlotProgress::Unknown;
        }
        loaded.give_up_places();
        self.withdraw_offers(loaded);
        loaded.budgets.asked.clear();
        loaded.budgets.reported.clear();
        for waiting in loaded.awaited.drain(..) {
            let _gone = waiting.send(true);
        }
        self.shared.ends.report_set_aside(loaded.run);
        loaded.phase = RunPhase::Quarantined(reason);
    }
}

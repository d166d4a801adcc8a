//! Attempts that are offered to workers, taken back while nothing of their run may start.
//!
//! Law: what is taken back is recorded as begun nowhere, and no worker gets it: a take of it that is still in the run's queue is
//! dropped, and what waited for that take hears that it was not recorded. The state lists the attempt again when it may start.

use everfold_base::id::AttemptId;

use crate::limits::Class;
use crate::run::attempt::event::AttemptEvent;
use crate::run::attempt::phase::AttemptPhase;
use crate::run::loaded_run::LoadedRun;
use crate::shard::core::ShardCore;

impl ShardCore {
    /// Takes back what is offered to workers and not recorded as taken.
    pub(crate) fn withdraw_offers(&mut self, loaded: &mut LoadedRun) {
        let unrecorded = loaded.attempts.in_phase(AttemptPhase::is_unrecorded);
        let offered = unrecorded.filter(|id| loaded.attempts.planned(id).class == Class::Elsewhere);
        let mut offered: Vec<AttemptId> = offered.cloned().collect();
        offered.sort_unstable();
        if offered.is_empty() {
            return;
        }
        loaded.drop_starts(&offered);
        for id in offered {
            self.attempt_event(loaded, &id, AttemptEvent::OfferWithdrawn);
        }
    }
}

//! Notices of runs that have left memory: how far each is, so that a run is loaded for a try and for nothing else.
//!
//! Laws (L32):
//! - What is parked keeps its pause, its tries and its place among those that wait; the run takes it back when it is
//!   loaded, for whatever reason.
//! - A run that has ended and is parked is loaded when one of its notices goes, and not when others are woken.
//! - At most [`PARKED_MAX`](crate::shard::parked::PARKED_MAX) runs are parked; the notices of others are found in the
//!   store again after the longest pause.

use std::collections::BTreeMap;

use crate::receivers::registry::SendingPlace;
use crate::run::loaded_run::{LoadedRun, RunPhase};
use crate::run::notice_progress::{NoticeProgress, NoticeReadiness, NoticeStage, PAUSE_MAX};
use crate::shard::core::{Shard, ShardCore, TAKEN_MAX};
use crate::shard::parked::ParkedRun;
use everfold_base::id::RunId;
use everfold_base::time::Timestamp;

impl ShardCore {
    /// Keeps the notices of a run that leaves memory. Gives when the run is to be looked for in the store, where they
    /// are too many.
    pub(crate) fn park(
        &mut self,
        run: RunId,
        notices: BTreeMap<String, NoticeProgress>,
        has_ended: bool,
    ) -> Option<Timestamp> {
        if notices.is_empty() {
            return None;
        }
        if self.parked.runs.len() < self.parked.most {
            self.parked.runs.insert(run, ParkedRun { notices, has_ended });
            return None;
        }
        notices.values().filter_map(NoticeProgress::key).for_each(|key| self.pauses.remove(key));
        Some(self.shared.now().plus(PAUSE_MAX))
    }

    /// A run that is loaded has its notices back.
    pub(crate) fn take_parked(&mut self, loaded: &mut LoadedRun) {
        if let Some(parking) = self.parked.runs.remove(&loaded.run) {
            loaded.notices.extend(parking.notices);
            // A run with notices was driven.
            loaded.dispatching.driven = true;
        }
    }
}

impl Shard {
    /// Notices whose turn it is, after they had waited for it.
    pub(crate) fn call_notices(&mut self) {
        let receivers = std::sync::Arc::clone(&self.core.shared.receivers);
        receivers.tick();
        let called = receivers.take(self.core.at, TAKEN_MAX);
        self.core.again |= called.len() == TAKEN_MAX;
        for (run, channel, place) in called {
            self.contained(run, |shard| shard.call_notice(run, channel, place));
        }
    }

    /// A place that nothing takes any more is given back by being dropped.
    fn call_notice(&mut self, run: RunId, channel: String, place: SendingPlace) {
        if let Some(loaded) = self.runs.get_mut(&run) {
            return self.core.notice_called(loaded, channel, place);
        }
        if self.closing.is_some() {
            return; // The next engine sends it.
        }
        let parking = self.core.parked.runs.get_mut(&run);
        let Some(progress) = parking.and_then(|parking| parking.notices.get_mut(&channel)) else { return };
        if let Some(key) = progress.called(place) {
            self.core.pauses.remove(key);
            self.load_parked(run);
        }
    }

    /// The timer of a parked notice is due: its pause is over, or it has waited for its receiver for long.
    pub(crate) fn parked_notice_due(&mut self, run: RunId, channel: String) {
        let Some(parking) = self.core.parked.runs.get_mut(&run) else { return };
        let Some(mut progress) = parking.notices.remove(&channel) else { return };
        progress.stage = NoticeStage::Next(None);
        let (progress, is_later) = match self.core.turn(run, &channel, progress) {
            NoticeReadiness::Later(progress) => (progress, true),
            // The loaded run checks it once more, with the same result.
            NoticeReadiness::Now(progress) | NoticeReadiness::Never(progress, _) => (progress, false),
        };
        if let Some(parking) = self.core.parked.runs.get_mut(&run) {
            parking.notices.insert(channel, progress);
        }
        if !is_later {
            self.load_parked(run);
        }
    }

    fn load_parked(&mut self, run: RunId) {
        let loaded = self.runs.entry(run).or_insert_with(|| LoadedRun::new(run, RunPhase::Loading, None));
        self.core.load(loaded);
    }
}

//! Notices of runs that have left memory: how far each is, so that a run is loaded for a try and for nothing else.
//!
//! Laws (L32):
//! - What is parked keeps its pause, its tries and its place among those that wait; the run takes it back when it is
//!   loaded, for whatever reason.
//! - A run that has ended and is parked is loaded when one of its notices goes, and not when others are woken.
//! - So many runs are parked; what is over that is found in the store again after the longest pause.

use std::collections::{BTreeMap, HashMap};

use super::cell::{Cell, Phase};
use super::notice::{Come, PAUSE_MAX, Stage, Telling};
use super::{Shard, TAKEN_MAX, World};
use crate::driver::receivers::Place;
use crate::id::RunId;
use crate::time::Timestamp;

/// Most runs whose notices are parked, in all shards.
const PARKED_MAX: usize = 50_000;

/// The notices of runs that are not in memory.
pub(super) struct Parked {
    runs: HashMap<RunId, Parking>,
    most: usize,
}

/// The notices of one.
struct Parking {
    notices: BTreeMap<String, Telling>,
    /// It has ended: nothing else of it is due at any time.
    has_ended: bool,
}

impl Parked {
    pub(super) fn new(shards: usize) -> Self {
        Self { runs: HashMap::new(), most: PARKED_MAX.div_ceil(shards) }
    }

    /// Whether a run need not be loaded for anything but its notices.
    pub(super) fn has_only_notices(&self, run: &RunId) -> bool {
        self.runs.get(run).is_some_and(|parking| parking.has_ended)
    }
}

impl World {
    /// Keeps the notices of a run that leaves memory. Gives when the run is to be looked for in the store, where they
    /// are too many.
    pub(super) fn park(
        &mut self,
        run: RunId,
        notices: BTreeMap<String, Telling>,
        has_ended: bool,
    ) -> Option<Timestamp> {
        if notices.is_empty() {
            return None;
        }
        if self.parked.runs.len() < self.parked.most {
            self.parked.runs.insert(run, Parking { notices, has_ended });
            return None;
        }
        notices.values().filter_map(Telling::key).for_each(|key| self.pauses.remove(key));
        Some(self.shared.now().plus(PAUSE_MAX))
    }

    /// A run that is loaded has its notices back.
    pub(super) fn take_parked(&mut self, cell: &mut Cell) {
        if let Some(parking) = self.parked.runs.remove(&cell.run) {
            cell.notices.extend(parking.notices);
            // Who had notices to tell was gone on with.
            cell.driven = true;
        }
    }
}

impl Shard {
    /// Notices whose turn it is, after they had waited for it.
    pub(super) fn call_notices(&mut self) {
        let receivers = std::sync::Arc::clone(&self.world.shared.receivers);
        receivers.tick();
        let called = receivers.take(self.world.at, TAKEN_MAX);
        self.world.again |= called.len() == TAKEN_MAX;
        for (run, channel, place) in called {
            self.contained(run, |shard| shard.call_notice(run, channel, place));
        }
    }

    /// A place that nothing takes any more is given back by being dropped.
    fn call_notice(&mut self, run: RunId, channel: String, place: Place) {
        if let Some(cell) = self.cells.get_mut(&run) {
            return self.world.notice_called(cell, channel, place);
        }
        if self.closing.is_some() {
            return; // It goes when the next engine begins.
        }
        let parking = self.world.parked.runs.get_mut(&run);
        let Some(telling) = parking.and_then(|parking| parking.notices.get_mut(&channel)) else { return };
        if let Some(key) = telling.called(place) {
            self.world.pauses.remove(key);
            self.load_parked(run);
        }
    }

    /// The pause of a parked notice is over, or it is looked at whether it waits in vain.
    pub(super) fn parked_notice_due(&mut self, run: RunId, channel: String) {
        let Some(parking) = self.world.parked.runs.get_mut(&run) else { return };
        let Some(mut telling) = parking.notices.remove(&channel) else { return };
        telling.stage = Stage::Next(None);
        let (telling, is_later) = match self.world.turn(run, &channel, telling) {
            Come::Later(telling) => (telling, true),
            // The run looks at it once more, and comes to the same.
            Come::Now(telling) | Come::Never(telling, _) => (telling, false),
        };
        if let Some(parking) = self.world.parked.runs.get_mut(&run) {
            parking.notices.insert(channel, telling);
        }
        if !is_later {
            self.load_parked(run);
        }
    }

    fn load_parked(&mut self, run: RunId) {
        let cell = self.cells.entry(run).or_insert_with(|| Cell::new(run, Phase::Loading, None));
        self.world.load(cell);
    }
}

//! What the machine's clock says, where that is not what the run has recorded.
//!
//! Law: the times of a run's record never go back; spans count by the clock. So a clock that was ahead for a
//! moment delays nothing: where it says less than the record, that is a fact of its own ([`ClockRead`]), and
//! what was set while it was ahead counts from then on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::TimerId;
use everfold_base::time::Timestamp;

/// What is remembered of the clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClockFacts {
    /// The last reading, as long as nothing later is recorded.
    pub(super) reading: Option<Reading>,
    /// What the clock said when each timer was set that counts a span.
    pub(super) set: BTreeMap<TimerId, Timestamp>,
}

/// A reading of the clock that is less than what was recorded before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reading {
    /// When it is recorded.
    pub(super) at: Timestamp,
    pub(super) clock: Timestamp,
}

impl ClockFacts {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Something is recorded: a reading from before it says nothing any more.
    pub(super) fn go_on(&mut self, at: Timestamp) {
        if self.reading.is_some_and(|reading| reading.at < at) {
            self.reading = None;
        }
    }

    /// A timer fired: the clock says at least what it was due at, though the last reading may be a little older.
    pub(super) fn reached(&mut self, due: Timestamp) {
        if let Some(reading) = &mut self.reading {
            reading.clock = reading.clock.max(due).min(reading.at);
        }
    }

    pub(super) fn forget(&mut self, timer: &TimerId) {
        self.set.remove(timer);
    }
}

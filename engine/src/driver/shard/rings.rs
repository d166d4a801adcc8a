//! Attempts that wait for their turn or for a place: round robin over runs, so that a run with ten
//! thousand items does not keep the others waiting.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::cell::Cell;
use super::{Shard, World};
use crate::driver::limits::{Class, Slot, Slots};
use crate::id::{AttemptId, RunId};

/// Attempts started in one turn; then other things have theirs.
const STARTED_MAX: usize = 256;

/// What an attempt waits for: its first look, or a place of its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ring {
    Fresh,
    Place(Class),
}

impl Ring {
    pub(super) fn index(self) -> usize {
        match self {
            Self::Fresh => 3,
            Self::Place(class) => class.index(),
        }
    }
}

/// The runs with attempts that wait.
#[derive(Default)]
pub(super) struct Rings {
    runs: [VecDeque<RunId>; 4],
    /// The shard's request for the next free place of a class.
    asked: [Option<BoxFuture<'static, Slot>>; 3],
    given: [Option<Slot>; 3],
}

impl Rings {
    /// Whether a place came free that was asked for.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, slots: &Slots) -> bool {
        let mut is_ready = false;
        for class in Class::ALL {
            let at = class.index();
            if self.given[at].is_some() {
                is_ready = true;
            } else if !self.runs[at].is_empty() {
                let asked = self.asked[at].get_or_insert_with(|| slots.take(class).boxed());
                if let Poll::Ready(slot) = asked.as_mut().poll(cx) {
                    self.asked[at] = None;
                    self.given[at] = Some(slot);
                    is_ready = true;
                }
            }
        }
        is_ready
    }

    fn place(&mut self, class: Class, slots: &Slots) -> Option<Slot> {
        self.given[class.index()].take().or_else(|| slots.try_take(class))
    }

    fn clear_unneeded(&mut self) {
        for class in Class::ALL {
            let at = class.index();
            if self.runs[at].is_empty() {
                self.asked[at] = None;
                self.given[at] = None;
            }
        }
    }
}

impl World {
    /// Lets an attempt wait in a ring.
    pub(super) fn enlist(&mut self, cell: &mut Cell, ring: Ring, id: AttemptId) {
        let waiting = &mut cell.waiting[ring.index()];
        if waiting.is_empty() {
            self.rings.runs[ring.index()].push_back(cell.run);
        }
        waiting.push_back(id);
    }
}

impl Shard {
    /// Starts attempts that wait, in turn, as far as places and this turn allow.
    pub(super) fn start_waiting(&mut self) {
        if self.world.shared.is_holding() || self.closing.is_some() {
            return;
        }
        let mut left = STARTED_MAX;
        for class in Class::ALL {
            while left > 0 && !self.world.rings.runs[class.index()].is_empty() {
                let Some(slot) = self.world.rings.place(class, &self.world.shared.slots) else { break };
                left -= 1;
                self.start_next(Ring::Place(class), Some(slot));
            }
        }
        while left > 0 && !self.world.rings.runs[Ring::Fresh.index()].is_empty() {
            left -= 1;
            self.start_next(Ring::Fresh, None);
        }
        self.world.rings.clear_unneeded();
        self.world.again |= !self.world.rings.runs[Ring::Fresh.index()].is_empty();
    }

    fn start_next(&mut self, ring: Ring, slot: Option<Slot>) {
        let runs = &mut self.world.rings.runs[ring.index()];
        let Some(run) = runs.pop_front() else { return };
        let Some(cell) = self.cells.get_mut(&run) else { return };
        let Some(id) = cell.waiting[ring.index()].pop_front() else { return };
        if !cell.waiting[ring.index()].is_empty() {
            runs.push_back(run);
        }
        self.world.take_up(cell, id, slot);
    }
}

//! Attempts that are to be planned, and those whose turn has come.
//!
//! Law: runs are planned in turn, so that one with ten thousand items does not keep the others from
//! standing in line; who starts first is then the line's to say ([`crate::driver::line`]).

use std::collections::VecDeque;

use super::cell::Cell;
use super::{Shard, World};
use crate::id::{AttemptId, RunId};

/// Attempts planned, and attempts started, in one turn; then other things have theirs.
const STARTED_MAX: usize = 256;

/// The runs with attempts that are to be planned.
#[derive(Default)]
pub(super) struct Rings {
    runs: VecDeque<RunId>,
}

impl World {
    /// An attempt is to be planned.
    pub(super) fn enlist(&mut self, cell: &mut Cell, id: AttemptId) {
        if cell.fresh.is_empty() {
            self.rings.runs.push_back(cell.run);
        }
        cell.fresh.push_back(id);
        self.again = true;
    }

    /// What somebody asked of a run is decided before more of its work begins: it may be that it shall not.
    fn orders_first(&mut self, cell: &mut Cell) {
        if cell.has_order() {
            self.advance(cell);
        }
    }
}

impl Shard {
    /// Starts attempts whose turn has come, and plans others, as far as this turn allows.
    pub(super) fn start_waiting(&mut self) {
        if self.closing.is_some() || self.world.shared.is_holding() {
            return;
        }
        let line = std::sync::Arc::clone(&self.world.shared.line);
        line.tick();
        let granted = line.take(self.world.at, STARTED_MAX);
        self.world.again |= granted.len() == STARTED_MAX;
        for (id, grant) in granted {
            // Where the run is gone, the grant is given back.
            if let Some(cell) = self.cells.get_mut(&id.run) {
                self.world.orders_first(cell);
                self.world.served(cell, id.attempt, grant);
            }
        }
        for _ in 0..STARTED_MAX {
            let Some(run) = self.world.rings.runs.pop_front() else { return };
            let Some(cell) = self.cells.get_mut(&run) else { continue };
            let Some(id) = cell.fresh.pop_front() else { continue };
            if !cell.fresh.is_empty() {
                self.world.rings.runs.push_back(run);
            }
            self.world.orders_first(cell);
            self.world.take_up(cell, id);
        }
        self.world.again |= !self.world.rings.runs.is_empty();
    }
}

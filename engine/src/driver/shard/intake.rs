//! What comes from outside: inputs, looks, the order to go on.

use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::Shard;
use super::cell::{Cell, Item, Phase};
use crate::driver::message::{Look, Message, Queued};
use crate::driver::{QueryError, SubmitError};
use crate::id::RunId;
use crate::state::RunState;

impl Shard {
    pub(super) fn take(&mut self, message: Message) {
        match message {
            Message::Input { run, queued } => self.input(run, queued),
            Message::Look { run, look } => self.look(run, look),
            Message::Drive { run, even_aside, done } => self.drive(run, even_aside, done),
            Message::Align { run, drives, done } => self.align(run, drives, done),
            Message::Abandoned { run, is_folded, done } => self.abandoned(run, is_folded, done),
            Message::Release => self.world.again = true,
            Message::Shutdown => {
                self.world.shared.stopping.store(true, Ordering::Release);
                let grace = self.world.shared.config.grace;
                self.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(grace)));
            }
        }
    }

    fn input(&mut self, run: RunId, mut queued: Box<Queued>) {
        if self.closing.is_some() {
            return queued.answer(Err(SubmitError::ShuttingDown));
        }
        let cell = match self.cells.entry(run) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => match queued.starts() {
                // A new run: nothing to read, and the store refuses it if it is not new.
                Some(definition) => {
                    let state = RunState::new(std::sync::Arc::clone(definition));
                    let cell = entry.insert(Cell::new(run, Phase::Ready, Some(state)));
                    cell.unlisted = false;
                    cell
                }
                None => {
                    let cell = entry.insert(Cell::new(run, Phase::Loading, None));
                    self.world.load(cell);
                    cell
                }
            },
        };
        if let Phase::Aside(reason) = &cell.phase {
            let reason = reason.clone();
            return queued.answer(Err(SubmitError::SetAside { run, reason }));
        }
        if matches!(cell.phase, Phase::Stalled) && queued.starts().is_some() {
            return queued.answer(Err(SubmitError::Full));
        }
        if cell.queue.len() >= self.world.shared.config.queue {
            return queued.answer(Err(SubmitError::Busy));
        }
        // Who acts on a run wants it to go on.
        let was_driven = std::mem::replace(&mut cell.driven, true);
        cell.queue.push_back(Item::Input(queued));
        if !was_driven && matches!(cell.phase, Phase::Ready) {
            self.world.dispatch(cell);
        }
        self.world.mark(cell);
    }

    fn look(&mut self, run: RunId, look: Look) {
        let cell = match self.cells.entry(run) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let cell = entry.insert(Cell::new(run, Phase::Loading, None));
                self.world.load(cell);
                cell
            }
        };
        if let Phase::Aside(reason) = &cell.phase {
            return look(Err(QueryError::SetAside { run, reason: reason.clone() }));
        }
        if let Phase::Stalled = &cell.phase {
            return look(cell.state.as_ref().ok_or(QueryError::Full(run)));
        }
        cell.queue.push_back(Item::Look(look));
        self.world.mark(cell);
    }

    /// Has a run look at what stands still; it is gone on with for that only with `drives`.
    fn align(&mut self, run: RunId, drives: bool, done: oneshot::Sender<bool>) {
        let cell = self.cells.entry(run).or_insert_with(|| Cell::new(run, Phase::Ready, None));
        cell.driven |= drives;
        match (&cell.phase, cell.state.is_some()) {
            (Phase::Ready, false) => {
                cell.awaited.push(done);
                self.world.load(cell);
            }
            (Phase::Ready, true) => {
                cell.awaited.push(done);
                self.world.dispatch(cell);
                self.world.mark(cell);
            }
            (Phase::Loading, _) => cell.awaited.push(done),
            // What it has in progress ends with a look at what stands still.
            _busy_or_aside => {
                let _gone = done.send(true);
            }
        }
    }

    /// Leaves what a run has in progress, and the run itself where nobody can fold it.
    fn abandoned(&mut self, run: RunId, is_folded: bool, done: oneshot::Sender<bool>) {
        let Some(cell) = self.cells.get_mut(&run) else {
            let _gone = done.send(true);
            return;
        };
        self.world.leave_work(cell);
        if is_folded {
            cell.awaited.push(done);
            return self.world.load(cell);
        }
        self.world.shared.aside().remove(&run);
        self.world.idle.rouse(&run);
        self.cells.remove(&run);
        let _gone = done.send(true);
    }

    /// Goes on with a run: loads it where it is not, and starts what it lists.
    fn drive(&mut self, run: RunId, even_aside: bool, done: oneshot::Sender<bool>) {
        if !even_aside && self.world.parked.has_only_notices(&run) {
            // It has ended, and its notices go when it is their time.
            let _gone = done.send(true);
            return;
        }
        let cell = self.cells.entry(run).or_insert_with(|| Cell::new(run, Phase::Ready, None));
        let was_driven = std::mem::replace(&mut cell.driven, true);
        match (&cell.phase, cell.state.is_some()) {
            (Phase::Aside(_), _) if !even_aside => {
                let _gone = done.send(true);
            }
            (Phase::Aside(_), _) | (Phase::Ready, false) => {
                cell.awaited.push(done);
                self.world.load(cell);
                if even_aside {
                    self.world.hurry_notices(cell);
                }
            }
            (Phase::Ready, true) => {
                if !was_driven {
                    self.world.dispatch(cell);
                }
                if even_aside {
                    self.world.hurry_notices(cell);
                }
                self.world.mark(cell);
                let _gone = done.send(true);
            }
            (Phase::Stalled, _) => {
                // It goes on by itself; who waits for it need not wait for the disk.
                let _gone = done.send(true);
            }
            _ => cell.awaited.push(done),
        }
    }
}

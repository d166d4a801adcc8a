//! What waits for room on the disk, for handles or for memory: runs that cannot be appended to or read,
//! attempts that could not begin, or could not be looked at.
//!
//! Law (S7): nothing of it is given up, and nobody need act: a run goes on when the store is writable
//! again, an attempt is tried again after a pause, a few at a time while they go on being held back.

use std::collections::{BTreeSet, VecDeque};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::cell::{Cell, Item, Phase, Work};
use super::{Shard, World};
use crate::driver::line::Grant;
use crate::driver::shared::{Shared, until_writable};
use crate::driver::{QueryError, SubmitError};
use crate::id::{AttemptId, EffectId, Position, RunId};
use crate::store::{AppendError, Writability};

/// How long an attempt that was held back waits before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How many are tried at first; twice as many each time none of them was held back.
const TRIED_MIN: usize = 16;

/// Who waits, and for what.
#[derive(Default)]
pub(super) struct Room {
    /// Runs that wait for the store.
    stalled: BTreeSet<RunId>,
    writable: Option<BoxFuture<'static, ()>>,
    is_writable: bool,
    /// Attempts that wait for the pause to end.
    held: VecDeque<(RunId, AttemptId)>,
    /// Runs whose effects are to be listed again after the pause.
    unlisted: BTreeSet<RunId>,
    pause: Option<BoxFuture<'static, ()>>,
    is_over: bool,
    tried: usize,
    /// An attempt was held back since the last pause.
    is_short: bool,
}

impl Room {
    /// Whether a wait is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_writable |= is_over(&mut self.writable, cx);
        self.is_over |= is_over(&mut self.pause, cx);
        self.is_writable || self.is_over
    }

    fn stall(&mut self, run: RunId, shared: &Shared) {
        self.stalled.insert(run);
        if self.writable.is_none() && !self.is_writable {
            // Where it takes nothing any more, the next append says so.
            self.writable = Some(until_writable(shared.store.writability()).map(drop).boxed());
        }
    }

    fn wait(&mut self, shared: &Shared) {
        if self.pause.is_some() || self.is_over {
            return;
        }
        let mut writable = shared.store.writability();
        let is_full = *writable.borrow() == Writability::Full;
        self.pause = Some(
            async move {
                let pause = tokio::time::sleep(PAUSE);
                if is_full {
                    tokio::select! {
                        biased;
                        _ = writable.wait_for(|now| !matches!(now, Writability::Full)) => {}
                        () = pause => {}
                    }
                } else {
                    pause.await;
                }
            }
            .boxed(),
        );
    }
}

fn is_over(wait: &mut Option<BoxFuture<'static, ()>>, cx: &mut Context<'_>) -> bool {
    let is_over = wait.as_mut().is_some_and(|wait| matches!(wait.as_mut().poll(cx), Poll::Ready(())));
    if is_over {
        *wait = None;
    }
    is_over
}

impl Shard {
    /// Goes on with what waited for room, as far as the waits are over.
    pub(super) fn use_room(&mut self) {
        if std::mem::take(&mut self.world.room.is_writable) {
            for run in std::mem::take(&mut self.world.room.stalled) {
                if let Some(cell) = self.cells.get_mut(&run) {
                    self.world.unstall(cell);
                }
            }
        }
        if std::mem::take(&mut self.world.room.is_over) && self.closing.is_none() {
            self.try_again();
        }
    }

    fn try_again(&mut self) {
        let room = &mut self.world.room;
        let is_short = std::mem::take(&mut room.is_short);
        room.tried = if is_short { TRIED_MIN } else { room.tried.saturating_mul(2).max(TRIED_MIN) };
        let tried: Vec<_> = room.held.drain(..room.tried.min(room.held.len())).collect();
        for run in std::mem::take(&mut room.unlisted) {
            // One that is not ready lists everything when it is.
            if let Some(cell) = self.cells.get_mut(&run).filter(|cell| matches!(cell.phase, Phase::Ready)) {
                self.world.dispatch(cell);
                self.world.mark(cell);
            }
        }
        for (run, id) in tried {
            if let Some(cell) = self.cells.get_mut(&run) {
                self.world.take_up_again(cell, id);
            }
        }
        if !self.world.room.held.is_empty() {
            self.world.room.wait(&self.world.shared);
        }
    }
}

impl World {
    /// Nothing could be appended. The run keeps what waits for it, and goes on when there is room.
    pub(super) fn append_later(&mut self, cell: &mut Cell) {
        cell.requeue();
        cell.refuse_starts();
        if cell.position == Position::ZERO && cell.queue.is_empty() {
            // All that was known of it is a start, which was refused: there is no such run.
            return self.let_go(cell);
        }
        self.stall(cell);
        // Until there is room it can be looked at.
        self.load(cell);
    }

    /// Nothing is appended for now. Who asked is told so and does not wait; the run keeps what happened to it, and
    /// goes on when the store takes it.
    pub(super) fn append_when_taken(&mut self, cell: &mut Cell, refused: &AppendError) {
        cell.requeue();
        let error = SubmitError::Store(refused.to_string());
        cell.refuse(|queued| queued.answer.is_some(), &error);
        self.append_later(cell);
    }

    /// The run cannot be read. It keeps what acts on it, and is read again when there is room.
    pub(super) fn read_later(&mut self, cell: &mut Cell) {
        cell.refuse_starts();
        cell.refuse_looks();
        self.shared.aside().remove(&cell.run);
        for waiting in cell.awaited.drain(..) {
            let _gone = waiting.send(true);
        }
        if !cell.driven && cell.queue.is_empty() {
            // Whoever looks at it next reads it again.
            return self.let_go(cell);
        }
        cell.phase = Phase::Stalled;
        self.stall(cell);
    }

    /// A value that a decision needs cannot be read; nothing was decided.
    pub(super) fn decide_later(&mut self, cell: &mut Cell) {
        if matches!(cell.phase, Phase::Fetching) {
            cell.refuse_starts();
            cell.phase = Phase::Stalled;
            cell.answer_looks();
            self.stall(cell);
        }
    }

    /// Something that a part's effects need cannot be read: they are listed again after a pause.
    pub(super) fn list_later(&mut self, cell: &mut Cell) {
        cell.unlisted = true;
        self.room.unlisted.insert(cell.run);
        self.room.wait(&self.shared);
    }

    /// An attempt says that the system has too little at this moment for it to begin, to be looked at, or to be
    /// reported.
    pub(super) fn held_back(&mut self, cell: &mut Cell, id: AttemptId, reason: &str) {
        if self.is_ending(cell, &id) {
            return;
        }
        let Some(Work::Running(running)) = cell.work.get(&id) else { return };
        if running.traits.supervised {
            // It may be at work: whoever cancels it ends it, and does not only forget it.
            cell.doubtful.insert(id.clone());
        }
        let is_recorded = running.is_recorded;
        let grant = self.grant_of_living(cell, &id);
        if !std::mem::replace(&mut self.room.is_short, true) {
            tracing::warn!(run = %cell.run, attempt = %id, reason, "attempts wait for room on the disk, for handles or for memory");
        }
        let effect = EffectId { run: cell.run, attempt: id.clone() };
        self.shared.live.line(
            &effect,
            &format!("waits for what the system is short of: {reason}"),
            self.shared.now(),
        );
        cell.work.insert(id.clone(), Work::HeldBack { is_recorded, grant });
        self.room.held.push_back((cell.run, id));
        self.room.wait(&self.shared);
    }

    /// What an attempt holds that may have begun and may live: nothing of it is given to another one.
    pub(super) fn grant_of_living(&self, cell: &mut Cell, id: &AttemptId) -> Option<Grant> {
        let Some(Work::Running(running)) = cell.work.get_mut(id) else { return None };
        let may_live = running.traits.supervised;
        running.grant.take_if(|_| may_live)
    }

    fn stall(&mut self, cell: &mut Cell) {
        cell.is_stalled = true;
        cell.give_up_places();
        self.room.stall(cell.run, &self.shared);
    }

    fn unstall(&mut self, cell: &mut Cell) {
        cell.is_stalled = false;
        if !matches!(cell.phase, Phase::Stalled) {
            return;
        }
        if cell.state.is_none() {
            return self.load(cell);
        }
        cell.phase = Phase::Ready;
        self.dispatch(cell);
        self.mark(cell);
    }

    /// Forgets a run that nothing is known of and nobody acts on.
    fn let_go(&mut self, cell: &mut Cell) {
        for waiting in cell.awaited.drain(..) {
            let _gone = waiting.send(false);
        }
        (cell.version, cell.hash) = Default::default();
        cell.phase = Phase::Ready;
        self.mark(cell);
    }
}

impl Cell {
    /// Room that is left is for what has begun.
    pub(super) fn refuse_starts(&mut self) {
        self.refuse(|queued| queued.starts().is_some(), &SubmitError::Full);
    }

    fn refuse_looks(&mut self) {
        for item in std::mem::take(&mut self.queue) {
            match item {
                Item::Look(look) => look(Err(QueryError::Full(self.run))),
                input @ Item::Input(_) => self.queue.push_back(input),
            }
        }
    }
}

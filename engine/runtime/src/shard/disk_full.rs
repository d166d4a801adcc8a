//! What waits for room on the disk, for handles or for memory: runs that cannot be appended to or read,
//! attempts that could not begin, or could not be looked at.
//!
//! Law (S7): nothing of it is given up, and no action is needed: a run goes on when the store is writable
//! again, an attempt is tried again after a pause, a few at a time while they go on being held back.

use crate::error::{QueryError, SubmitError};
use crate::run::loaded_run::{AttemptWork, Item, LoadedRun, RunPhase};
use crate::scheduler::places::Grant;
use crate::shard::core::{Shard, ShardCore};
use everfold_base::id::{AttemptId, EffectId, Position};
use everfold_store::AppendError;

/// How many are tried at first; twice as many each time none of them was held back.
const TRIED_MIN: usize = 16;

impl Shard {
    /// Goes on with what waited for room, as far as the waits are over.
    pub(crate) fn use_room(&mut self) {
        if std::mem::take(&mut self.core.room.is_writable) {
            for run in std::mem::take(&mut self.core.room.stalled) {
                if let Some(loaded) = self.runs.get_mut(&run) {
                    self.core.unstall(loaded);
                }
            }
        }
        if std::mem::take(&mut self.core.room.is_over) && self.closing.is_none() {
            self.try_again();
        }
    }

    fn try_again(&mut self) {
        let room = &mut self.core.room;
        let is_short = std::mem::take(&mut room.is_short);
        room.tried = if is_short { TRIED_MIN } else { room.tried.saturating_mul(2).max(TRIED_MIN) };
        let tried: Vec<_> = room.held.drain(..room.tried.min(room.held.len())).collect();
        for run in std::mem::take(&mut room.unlisted) {
            // One that is not ready lists everything when it is.
            if let Some(loaded) =
                self.runs.get_mut(&run).filter(|loaded| matches!(loaded.phase, RunPhase::Ready))
            {
                self.core.dispatch(loaded);
                self.core.mark(loaded);
            }
        }
        for (run, id) in tried {
            if let Some(loaded) = self.runs.get_mut(&run) {
                self.core.take_up_again(loaded, id);
            }
        }
        if !self.core.room.held.is_empty() {
            self.core.room.wait(&self.core.shared);
        }
    }
}

impl ShardCore {
    /// Nothing could be appended. The run keeps what waits for it, and goes on when there is room.
    pub(crate) fn append_later(&mut self, loaded: &mut LoadedRun) {
        loaded.requeue();
        loaded.refuse_starts();
        if loaded.position == Position::ZERO && loaded.queue.is_empty() {
            // All that was known of it is a start, which was refused: there is no such run.
            return self.let_go(loaded);
        }
        self.stall(loaded);
        // Until there is room it can be looked at.
        self.load(loaded);
    }

    /// Nothing is appended for now. The caller gets an error and does not wait; the run keeps what happened to it, and
    /// goes on when the store takes it.
    pub(crate) fn append_when_taken(&mut self, loaded: &mut LoadedRun, refused: &AppendError) {
        loaded.requeue();
        let error = SubmitError::Store(refused.to_string());
        loaded.refuse(|queued| queued.answer.is_some(), &error);
        self.append_later(loaded);
    }

    /// The run cannot be read. It keeps what acts on it, and is read again when there is room.
    pub(crate) fn read_later(&mut self, loaded: &mut LoadedRun) {
        loaded.refuse_starts();
        loaded.refuse_looks();
        self.shared.quarantined().remove(&loaded.run);
        for waiting in loaded.awaited.drain(..) {
            let _gone = waiting.send(true);
        }
        if !loaded.dispatching.driven && loaded.queue.is_empty() {
            // The next query reads it again.
            return self.let_go(loaded);
        }
        loaded.phase = RunPhase::Stalled;
        self.stall(loaded);
    }

    /// A value that a decision needs cannot be read; nothing was decided.
    pub(crate) fn decide_later(&mut self, loaded: &mut LoadedRun) {
        if matches!(loaded.phase, RunPhase::Fetching) {
            loaded.refuse_starts();
            loaded.phase = RunPhase::Stalled;
            loaded.answer_looks();
            self.stall(loaded);
        }
    }

    /// Something that a part's effects need cannot be read: they are listed again after a pause.
    pub(crate) fn list_later(&mut self, loaded: &mut LoadedRun) {
        loaded.dispatching.unlisted = true;
        self.room.unlisted.insert(loaded.run);
        self.room.wait(&self.shared);
    }

    /// An attempt says that the system has too little at this moment for it to begin, to be looked at, or to be
    /// reported.
    pub(crate) fn held_back(&mut self, loaded: &mut LoadedRun, id: AttemptId, reason: &str) {
        if self.is_ending(loaded, &id) {
            return;
        }
        let Some(AttemptWork::Running(running)) = loaded.work.get(&id) else { return };
        if running.traits.supervised {
            // It may be at work: a cancel ends it, and does not only forget it.
            loaded.unstarted.doubtful.insert(id.clone());
        }
        let is_recorded = running.is_recorded;
        let grant = self.grant_of_living(loaded, &id);
        if !std::mem::replace(&mut self.room.is_short, true) {
            tracing::warn!(run = %loaded.run, attempt = %id, reason, "attempts wait for room on the disk, for handles or for memory");
        }
        let effect = EffectId { run: loaded.run, attempt: id.clone() };
        self.shared.live.line(
            &effect,
            &format!("waits for what the system is short of: {reason}"),
            self.shared.now(),
        );
        loaded.work.insert(id.clone(), AttemptWork::HeldBack { is_recorded, grant });
        self.room.held.push_back((loaded.run, id));
        self.room.wait(&self.shared);
    }

    /// What an attempt holds that may have begun and may live: nothing of it is given to another one.
    pub(crate) fn grant_of_living(&self, loaded: &mut LoadedRun, id: &AttemptId) -> Option<Grant> {
        let Some(AttemptWork::Running(running)) = loaded.work.get_mut(id) else { return None };
        let may_live = running.traits.supervised;
        running.grant.take_if(|_| may_live)
    }

    fn stall(&mut self, loaded: &mut LoadedRun) {
        loaded.append.is_stalled = true;
        loaded.give_up_places();
        self.room.stall(loaded.run, &self.shared);
    }

    fn unstall(&mut self, loaded: &mut LoadedRun) {
        loaded.append.is_stalled = false;
        if !matches!(loaded.phase, RunPhase::Stalled) {
            return;
        }
        if loaded.state.is_none() {
            return self.load(loaded);
        }
        loaded.phase = RunPhase::Ready;
        self.dispatch(loaded);
        self.mark(loaded);
    }

    /// Forgets a run that nothing is known of and nothing acts on.
    fn let_go(&mut self, loaded: &mut LoadedRun) {
        for waiting in loaded.awaited.drain(..) {
            let _gone = waiting.send(false);
        }
        (loaded.version, loaded.hash) = Default::default();
        loaded.phase = RunPhase::Ready;
        self.mark(loaded);
    }
}

impl LoadedRun {
    /// Room that is left is for what has begun.
    pub(crate) fn refuse_starts(&mut self) {
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

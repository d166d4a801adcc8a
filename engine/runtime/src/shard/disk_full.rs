//! Shortage of disk, handles or memory: runs that cannot be appended to or read, attempts that could not begin or
//! be checked.
//!
//! Law (S7): no run or attempt is given up, and no operator is needed: a run resumes when the store is writable again;
//! an attempt is tried again after a pause, a few at a time as long as the shortage lasts.

use crate::error::{LoadError, QueryError, SubmitError};
use crate::run::loaded_run::{Item, LoadedRun, RunPhase};
use crate::shard::core::{Shard, ShardCore};
use everfold_base::id::{AttemptId, EffectId, Position};
use everfold_store::AppendError;
use everfold_system::os_error::errno;
use std::io;

/// How many held back attempts are tried at first; twice as many each time none was held back again.
const TRIED_MIN: usize = 16;

impl Shard {
    /// Resumes runs and retries attempts whose wait is over.
    pub(crate) fn retry_after_shortage(&mut self) {
        if std::mem::take(&mut self.core.shortage.is_writable) {
            for run in std::mem::take(&mut self.core.shortage.stalled) {
                if let Some(loaded) = self.runs.get_mut(&run) {
                    self.core.unstall(loaded);
                }
            }
        }
        if std::mem::take(&mut self.core.shortage.is_over) && self.closing.is_none() {
            self.try_again();
        }
    }

    fn try_again(&mut self) {
        let shortage = &mut self.core.shortage;
        let is_short = std::mem::take(&mut shortage.is_short);
        shortage.tried = if is_short { TRIED_MIN } else { shortage.tried.saturating_mul(2).max(TRIED_MIN) };
        let tried: Vec<_> = shortage.held.drain(..shortage.tried.min(shortage.held.len())).collect();
        let paused = std::mem::take(&mut shortage.paused);
        for run in std::mem::take(&mut shortage.unlisted) {
            // A run that is not ready lists all its effects when it becomes ready.
            if let Some(loaded) =
                self.runs.get_mut(&run).filter(|loaded| matches!(loaded.phase, RunPhase::Ready))
            {
                self.core.dispatch(loaded);
                self.core.mark(loaded);
            }
        }
        for run in paused {
            if let Some(loaded) = self.runs.get_mut(&run) {
                self.core.unstall(loaded);
            }
        }
        for (run, id) in tried {
            if let Some(loaded) = self.runs.get_mut(&run) {
                self.core.pause_over(loaded, &id);
            }
        }
        if !self.core.shortage.held.is_empty() {
            self.core.shortage.wait(&self.core.shared);
        }
    }
}

impl ShardCore {
    /// The append found the disk full. The run keeps its queue, and resumes when the store is writable.
    pub(crate) fn append_later(&mut self, loaded: &mut LoadedRun) {
        let refused = loaded.append.refusal(SubmitError::Full);
        if self.puts_off(loaded, &refused) {
            self.stall(loaded);
            // Until then queries are answered.
            self.load(loaded);
        }
    }

    /// The system has too few handles or too little memory to keep a large value of what was decided. The run keeps its
    /// queue, and decides again after a pause: no report of the store says when that helps.
    pub(crate) fn keep_later(&mut self, loaded: &mut LoadedRun, error: &io::Error) {
        if !std::mem::replace(&mut self.shortage.is_short, true) {
            let error = errno(error).map_or_else(|| error.to_string(), |errno| errno.to_string());
            tracing::warn!(run = %loaded.run, error, "a large value waits for handles or for memory");
        }
        let refused = SubmitError::Store(format!("a large value cannot be kept: {error}"));
        if self.puts_off(loaded, &refused) {
            self.stall_for_a_pause(loaded);
            self.load(loaded);
        }
    }

    /// Puts back what was not appended; false where nothing is left of the run.
    fn puts_off(&mut self, loaded: &mut LoadedRun, refused: &SubmitError) -> bool {
        loaded.requeue();
        loaded.refuse_starts(refused);
        if loaded.position == Position::ZERO && loaded.queue.is_empty() {
            // Only its start was known, which is refused: there is no such run.
            self.let_go(loaded);
            return false;
        }
        true
    }

    /// The store is read-only for now. A caller gets an error and does not wait; the run keeps the engine's own inputs,
    /// and resumes when the store is writable.
    pub(crate) fn append_when_taken(&mut self, loaded: &mut LoadedRun, refused: &AppendError) {
        loaded.requeue();
        let error = loaded.append.refusal(SubmitError::Store(refused.to_string()));
        loaded.refuse(|queued| queued.answer.is_some(), &error);
        self.append_later(loaded);
    }

    /// The run cannot be read for lack of room, handles or memory. It keeps its inputs, and is loaded again when the
    /// store is writable, or after a pause.
    pub(crate) fn read_later(&mut self, loaded: &mut LoadedRun, error: &LoadError) {
        loaded.refuse_starts(&to_callers(error));
        loaded.refuse_queries(error);
        self.shared.quarantined().remove(&loaded.run);
        for waiting in loaded.awaited.drain(..) {
            let _gone = waiting.send(true);
        }
        if !loaded.dispatching.driven && loaded.queue.is_empty() {
            // The next query reads it again.
            return self.let_go(loaded);
        }
        loaded.phase = RunPhase::Stalled;
        self.stall_for(loaded, error);
    }

    /// A value that a decision needs cannot be read; nothing was decided.
    pub(crate) fn decide_later(&mut self, loaded: &mut LoadedRun, error: &LoadError) {
        if matches!(loaded.phase, RunPhase::Fetching) {
            loaded.refuse_starts(&to_callers(error));
            loaded.phase = RunPhase::Stalled;
            loaded.answer_queries();
            self.stall_for(loaded, error);
        }
    }

    /// A value that the effects of a part need cannot be read: the effects are listed again after a pause.
    pub(crate) fn list_later(&mut self, loaded: &mut LoadedRun) {
        loaded.dispatching.unlisted = true;
        self.shortage.unlisted.insert(loaded.run);
        self.shortage.wait(&self.shared);
    }

    /// There is too little room for an attempt to begin, to be looked at or to be reported: it is tried again after
    /// a pause.
    pub(crate) fn retry_later(&mut self, loaded: &mut LoadedRun, id: &AttemptId, reason: &str) {
        if !std::mem::replace(&mut self.shortage.is_short, true) {
            tracing::warn!(run = %loaded.run, attempt = %id, reason, "attempts wait for room on the disk, for handles or for memory");
        }
        let effect = EffectId { run: loaded.run, attempt: id.clone() };
        let line = format!("waits for what the system is short of: {reason}");
        self.shared.live.line(&effect, &line, self.shared.now());
        self.shortage.held.push_back((loaded.run, id.clone()));
        self.shortage.wait(&self.shared);
    }

    fn stall(&mut self, loaded: &mut LoadedRun) {
        loaded.append.is_stalled = true;
        loaded.give_up_places();
        self.shortage.stall(loaded.run, &self.shared);
    }

    fn stall_for(&mut self, loaded: &mut LoadedRun, error: &LoadError) {
        match error.is_full() {
            true => self.stall(loaded),
            false => self.stall_for_a_pause(loaded),
        }
    }

    /// No report of the store says when there are handles or memory again: the run waits for a pause to end.
    fn stall_for_a_pause(&mut self, loaded: &mut LoadedRun) {
        loaded.append.is_stalled = true;
        loaded.give_up_places();
        self.shortage.paused.insert(loaded.run);
        self.shortage.wait(&self.shared);
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

    /// Lets a run go that has neither a history nor an input.
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
    /// Starts are refused: what is left is for runs that have begun.
    pub(crate) fn refuse_starts(&mut self, why: &SubmitError) {
        self.refuse(|queued| queued.starts().is_some(), why);
    }

    fn refuse_queries(&mut self, error: &LoadError) {
        let why = match error.is_full() {
            true => QueryError::Full(self.run),
            false => QueryError::Store(error.to_string()),
        };
        for item in std::mem::take(&mut self.queue) {
            match item {
                Item::Query(query) => query(Err(why.clone())),
                input @ Item::Input(_) => self.queue.push_back(input),
            }
        }
    }
}

/// What a caller learns whose input waits for what the system is short of.
fn to_callers(error: &LoadError) -> SubmitError {
    if error.is_full() { SubmitError::Full } else { SubmitError::Store(error.to_string()) }
}

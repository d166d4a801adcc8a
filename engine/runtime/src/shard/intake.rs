//! Messages to the shard: inputs, queries, requests to drive, align or abandon a run, the shutdown.

use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::{QueryError, SubmitError};
use crate::messages::{Query, Queued, ShardMessage};
use crate::run::loaded_run::{Item, LoadedRun, RunPhase};
use crate::shard::core::Shard;
use everfold_base::id::RunId;
use everfold_core::state::RunState;

/// How long notices that are being sent may go on after a shutdown; the next start sends them again.
const SENDING_GRACE: Duration = Duration::from_secs(2);

impl Shard {
    pub(crate) fn take(&mut self, message: ShardMessage) {
        match message {
            ShardMessage::Input { run, queued } => self.input(run, queued),
            ShardMessage::Query { run, query } => self.query(run, query),
            ShardMessage::Drive { run, even_quarantined, done } => self.drive(run, even_quarantined, done),
            ShardMessage::Align { run, drives, done } => self.align(run, drives, done),
            ShardMessage::Abandoned { run, is_folded, done } => self.abandoned(run, is_folded, done),
            ShardMessage::Release => self.core.again = true,
            ShardMessage::Shutdown => {
                self.core.shared.stopping.store(true, Ordering::Release);
                let grace = self.core.shared.config.grace;
                self.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(grace)));
                let sending = SENDING_GRACE.min(grace);
                self.sending.get_or_insert_with(|| Box::pin(tokio::time::sleep(sending)));
            }
        }
    }

    fn input(&mut self, run: RunId, mut queued: Box<Queued>) {
        if self.closing.is_some() {
            return queued.answer(Err(SubmitError::ShuttingDown));
        }
        let loaded = match self.runs.entry(run) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => match queued.starts() {
                // A new run: nothing to read, and the store refuses it if it is not new.
                Some(definition) => {
                    let state = RunState::new(std::sync::Arc::clone(definition));
                    let loaded = entry.insert(LoadedRun::new(run, RunPhase::Ready, Some(state)));
                    loaded.dispatching.unlisted = false;
                    loaded
                }
                None => {
                    let loaded = entry.insert(LoadedRun::new(run, RunPhase::Loading, None));
                    self.core.load(loaded);
                    loaded
                }
            },
        };
        if let RunPhase::Quarantined(reason) = &loaded.phase {
            let reason = reason.clone();
            return queued.answer(Err(SubmitError::SetAside { run, reason }));
        }
        if matches!(loaded.phase, RunPhase::Stalled) && queued.starts().is_some() {
            return queued.answer(Err(self.core.shortage.refused_start(run)));
        }
        if loaded.has_waiting(self.core.shared.config.queue, |item| matches!(item, Item::Input(_))) {
            return queued.answer(Err(SubmitError::Busy));
        }
        // An input drives its run: its effects are started from now on.
        let was_driven = std::mem::replace(&mut loaded.dispatching.driven, true);
        loaded.queue.push_back(Item::Input(queued));
        if !was_driven && matches!(loaded.phase, RunPhase::Ready) {
            self.core.dispatch(loaded);
        }
        self.core.mark(loaded);
    }

    fn query(&mut self, run: RunId, query: Query) {
        let loaded = match self.runs.entry(run) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let loaded = entry.insert(LoadedRun::new(run, RunPhase::Loading, None));
                self.core.load(loaded);
                loaded
            }
        };
        if let RunPhase::Quarantined(reason) = &loaded.phase {
            return query(Err(QueryError::SetAside { run, reason: reason.clone() }));
        }
        if let RunPhase::Stalled = &loaded.phase {
            return query(loaded.state.as_ref().ok_or_else(|| self.core.shortage.refused_query(run)));
        }
        if loaded.has_waiting(self.core.shared.config.queue, |item| matches!(item, Item::Query(_))) {
            return query(Err(QueryError::Busy(run)));
        }
        loaded.queue.push_back(Item::Query(query));
        self.core.mark(loaded);
    }

    /// Compares a run's pauses with those of its pipeline and the engine; drives it only with `drives`.
    fn align(&mut self, run: RunId, drives: bool, done: oneshot::Sender<bool>) {
        let loaded = self.runs.entry(run).or_insert_with(|| LoadedRun::new(run, RunPhase::Ready, None));
        loaded.dispatching.driven |= drives;
        match (&loaded.phase, loaded.state.is_some()) {
            (RunPhase::Ready, false) => {
                loaded.awaited.push(done);
                self.core.load(loaded);
            }
            (RunPhase::Ready, true) => {
                loaded.awaited.push(done);
                self.core.dispatch(loaded);
                self.core.mark(loaded);
            }
            (RunPhase::Loading, _) => loaded.awaited.push(done),
            // The dispatch after its append, read or quarantine compares the pauses.
            _busy_or_quarantined => {
                let _gone = done.send(true);
            }
        }
    }

    /// Ends the work of an abandoned run, and forgets the run itself where it cannot be folded.
    fn abandoned(&mut self, run: RunId, is_folded: bool, done: oneshot::Sender<bool>) {
        let Some(loaded) = self.runs.get_mut(&run) else {
            let _gone = done.send(true);
            return;
        };
        self.core.abandon_work(loaded);
        if is_folded {
            loaded.awaited.push(done);
            return self.core.load(loaded);
        }
        self.core.shared.quarantined().remove(&run);
        self.core.idle.rouse(&run);
        self.runs.remove(&run);
        let _gone = done.send(true);
    }

    /// Drives a run: loads it where that is needed, and starts its effects.
    fn drive(&mut self, run: RunId, even_quarantined: bool, done: oneshot::Sender<bool>) {
        if !even_quarantined && self.core.parked.has_only_notices(&run) {
            // It has ended, and its notices are sent when they are due.
            let _gone = done.send(true);
            return;
        }
        let loaded = self.runs.entry(run).or_insert_with(|| LoadedRun::new(run, RunPhase::Ready, None));
        let was_driven = std::mem::replace(&mut loaded.dispatching.driven, true);
        match (&loaded.phase, loaded.state.is_some()) {
            (RunPhase::Quarantined(_), _) if !even_quarantined => {
                let _gone = done.send(true);
            }
            (RunPhase::Quarantined(_), _) | (RunPhase::Ready, false) => {
                loaded.awaited.push(done);
                self.core.load(loaded);
                if even_quarantined {
                    self.core.hurry_notices(loaded);
                }
            }
            (RunPhase::Ready, true) => {
                if !was_driven {
                    self.core.dispatch(loaded);
                }
                if even_quarantined {
                    self.core.hurry_notices(loaded);
                }
                self.core.mark(loaded);
                let _gone = done.send(true);
            }
            (RunPhase::Stalled, _) => {
                // It resumes by itself; the caller need not wait for the disk.
                let _gone = done.send(true);
            }
            _ => loaded.awaited.push(done),
        }
    }
}

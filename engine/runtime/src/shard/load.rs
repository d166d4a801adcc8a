//! Reading the history of a run, and what follows when it is there.
//!
//! Law: a history is read beside the shard's loop; until it is there, inputs wait in the run's queue.

use crate::aggregate_store::AggregateError;
use crate::error::{LoadError, QueryError, SubmitError};
use crate::load::FoldedRun;
use crate::run::loaded_run::{Item, LoadedRun, RunPhase};
use crate::shard::core::{Shard, ShardCore};
use crate::shard::job_done::JobDone;
use everfold_base::id::RunId;
use everfold_core::state::RunState;
use std::sync::Arc;

impl ShardCore {
    /// Reads the run's history.
    pub(crate) fn load(&mut self, loaded: &mut LoadedRun) {
        loaded.phase = RunPhase::Loading;
        loaded.state = None;
        self.take_parked(loaded);
        let (run, shared) = (loaded.run, Arc::clone(&self.shared));
        self.jobs.push(Box::pin(async move {
            let result = match shared.halts.current().await {
                Ok(_) => shared.loader().fold(run, None).await,
                Err(AggregateError::Read(error)) => Err(error.into()),
                Err(error) => Err(LoadError::Halts { run, what: error.to_string() }),
            };
            let result = Box::new(result);
            JobDone::Loaded { run, result }
        }));
    }
}

impl Shard {
    pub(crate) fn loaded(&mut self, run: RunId, result: Result<FoldedRun, LoadError>) {
        let Some(loaded) = self.runs.get_mut(&run) else { return };
        let result = match result {
            // Copied events alone are no run; the input that makes them one is in the queue.
            Ok(folded) if folded.is_hidden && !loaded.is_forking() => Err(LoadError::NotFound(run)),
            other => other,
        };
        let pending = loaded.append.pending_quarantine.take();
        match result {
            Ok(folded) => {
                loaded.adopt(folded);
                if let Some(reason) = pending {
                    return self.core.quarantine_now(loaded, reason);
                }
                self.core.shared.quarantined().remove(&run);
                if loaded.append.is_stalled {
                    loaded.phase = RunPhase::Stalled;
                    loaded.refuse_starts(&self.core.shortage.refused_start(run));
                    loaded.answer_queries();
                } else if !loaded.has_request() {
                    self.core.dispatch(loaded);
                }
            }
            Err(LoadError::NotFound(_)) => {
                self.core.shared.quarantined().remove(&run);
                if !loaded.begin_anew() {
                    self.core.idle.rouse(&run);
                    self.runs.remove(&run);
                    return;
                }
            }
            Err(error) if error.waits() => {
                loaded.append.pending_quarantine = pending;
                self.core.read_later(loaded, &error);
            }
            Err(error) => self.core.quarantine_now(loaded, error.to_string()),
        }
        self.core.mark(loaded);
    }
}

impl LoadedRun {
    /// There is no such stream: a start in the queue makes one, everything before it is refused.
    fn begin_anew(&mut self) -> bool {
        while let Some(item) = self.queue.pop_front() {
            match item {
                Item::Input(queued) if queued.starts().is_some() => {
                    let definition = queued.starts().cloned();
                    self.queue.push_front(Item::Input(queued));
                    self.state = definition.map(RunState::new);
                    (self.version, self.hash) = Default::default();
                    self.phase = RunPhase::Ready;
                    self.dispatching.driven = true;
                    self.note_own();
                    return true;
                }
                Item::Input(mut queued) => queued.answer(Err(SubmitError::NotFound(self.run))),
                Item::Query(query) => query(Err(QueryError::NotFound(self.run))),
            }
        }
        for waiting in self.awaited.drain(..) {
            let _gone = waiting.send(false);
        }
        false
    }
}

//! What the shard's own futures end with: appends, loads, reads of values.

use std::sync::Arc;

use super::cell::{Cell, Item, Phase, Work};
use super::commit::Next;
use super::{Shard, World};
use crate::driver::load::Folded;
use crate::driver::message::Queued;
use crate::driver::{LoadError, QueryError, SubmitError};
use crate::expr::ValueRef;
use crate::id::{AttemptId, RunId};
use crate::json::JsonText;
use crate::ledger::LedgerError;
use crate::state::{FOLD_VERSION, RunState};
use crate::store::{AppendError, Appended, Snapshot, is_shortage};

/// A snapshot is looked at from so many events on.
const SNAPSHOT_EVENTS: u64 = 500;
/// … and taken when the events since the last weigh so many times what the state does.
const SNAPSHOT_WEIGHT: u64 = 4;

/// The end of one of the shard's own futures.
pub(super) enum Done {
    Appended {
        run: RunId,
        result: Result<Appended, AppendFailure>,
    },
    Loaded {
        run: RunId,
        result: Box<Result<Folded, LoadError>>,
    },
    Values {
        run: RunId,
        wanted_by: WantedBy,
        result: Result<Vec<(ValueRef, JsonText)>, LoadError>,
    },
    /// The workspace of a run that has ended was given back; where it was, if it is gone.
    Released {
        run: RunId,
        removed: Option<String>,
    },
    Kept,
}

impl Done {
    /// The run that it is about.
    pub(super) fn run(&self) -> Option<RunId> {
        match self {
            Self::Appended { run, .. }
            | Self::Loaded { run, .. }
            | Self::Values { run, .. }
            | Self::Released { run, .. } => Some(*run),
            Self::Kept => None,
        }
    }
}

/// Why an append did not happen.
pub(super) enum AppendFailure {
    Store(AppendError),
    Blob(std::io::Error),
}

/// What goes on when a value is there, or when the state is durable.
pub(super) enum WantedBy {
    Decision,
    Attempt(AttemptId),
    Part(crate::effect::Touched),
}

impl Shard {
    pub(super) fn took(&mut self, done: Done) {
        match done {
            Done::Appended { run, result } => self.appended(run, result),
            Done::Loaded { run, result } => self.loaded(run, *result),
            Done::Values { run, wanted_by, result } => {
                if let Some(cell) = self.cells.get_mut(&run) {
                    self.world.fetched(cell, wanted_by, result);
                }
            }
            Done::Released { run, removed } => {
                if let Some(cell) = self.cells.get_mut(&run) {
                    self.world.given_back(cell, removed);
                }
            }
            Done::Kept => {}
        }
    }

    fn appended(&mut self, run: RunId, result: Result<Appended, AppendFailure>) {
        let Some(cell) = self.cells.get_mut(&run) else { return };
        // It is over, whatever is made of it: a run in this phase has an append in flight.
        cell.phase = Phase::Ready;
        if let Some(reason) = cell.doom.take() {
            match &result {
                Ok(appended) if appended.repeated => cell.repeated(appended),
                Ok(appended) => cell.commit(appended),
                Err(_) => cell.is_in_doubt = true,
            }
            return self.world.put_aside(cell, reason);
        }
        match result {
            Ok(appended) if appended.repeated => {
                cell.repeated(&appended);
                self.world.load(cell);
            }
            Ok(appended) => {
                if cell.outbox.front().is_some_and(|chunk| chunk.is_last_wish) {
                    die();
                }
                cell.commit(&appended);
                if cell.outbox.is_empty() {
                    cell.phase = Phase::Ready;
                    self.world.dispatch(cell);
                    self.world.keep_snapshot(cell);
                    self.world.mark(cell);
                } else {
                    self.world.send(cell);
                }
            }
            Err(failure) => self.world.failed(cell, failure),
        }
    }

    fn loaded(&mut self, run: RunId, result: Result<Folded, LoadError>) {
        let Some(cell) = self.cells.get_mut(&run) else { return };
        let result = match result {
            // Copied events alone are no run; what makes one of them comes with this input.
            Ok(folded) if folded.is_hidden && !cell.is_forking() => Err(LoadError::NotFound(run)),
            other => other,
        };
        match result {
            Ok(folded) => {
                cell.adopt(folded);
                self.world.shared.aside().remove(&run);
                if cell.is_stalled {
                    cell.phase = Phase::Stalled;
                    cell.refuse_starts();
                    cell.answer_looks();
                } else if !cell.has_order() {
                    self.world.dispatch(cell);
                }
            }
            Err(LoadError::NotFound(_)) => {
                self.world.shared.aside().remove(&run);
                if !cell.begin_anew() {
                    self.world.idle.rouse(&run);
                    self.cells.remove(&run);
                    return;
                }
            }
            Err(error) if error.is_full() => self.world.read_later(cell),
            Err(error) => self.world.set_aside(cell, error.to_string()),
        }
        self.world.mark(cell);
    }
}

impl Cell {
    /// There is no such stream: a start that waits makes one, everything before it is refused.
    fn begin_anew(&mut self) -> bool {
        while let Some(item) = self.queue.pop_front() {
            match item {
                Item::Input(queued) if queued.starts().is_some() => {
                    let definition = queued.starts().cloned();
                    self.queue.push_front(Item::Input(queued));
                    self.state = definition.map(RunState::new);
                    (self.version, self.hash) = Default::default();
                    self.phase = Phase::Ready;
                    self.driven = true;
                    self.note_own();
                    return true;
                }
                Item::Input(mut queued) => queued.answer(Err(SubmitError::NotFound(self.run))),
                Item::Look(look) => look(Err(QueryError::NotFound(self.run))),
            }
        }
        for waiting in self.awaited.drain(..) {
            let _gone = waiting.send(false);
        }
        false
    }
}

impl World {
    /// Reads the run's history.
    pub(super) fn load(&mut self, cell: &mut Cell) {
        cell.phase = Phase::Loading;
        cell.state = None;
        self.take_parked(cell);
        let (run, shared) = (cell.run, Arc::clone(&self.shared));
        self.jobs.push(Box::pin(async move {
            let result = match shared.halts.current().await {
                Ok(_) => shared.loader().fold(run, None).await,
                Err(LedgerError::Read(error)) => Err(error.into()),
                Err(error) => Err(LoadError::Halts { run, what: error.to_string() }),
            };
            let result = Box::new(result);
            Done::Loaded { run, result }
        }));
    }

    /// Decides what waits, and sees to what that needs.
    pub(super) fn advance(&mut self, cell: &mut Cell) {
        match cell.decide_queue(&self.shared) {
            Next::Rest => {
                cell.tries = 0;
                if cell.fetching == 0 {
                    cell.loaded = crate::decide::Loaded::default();
                }
                // What is no event may give others their turn.
                let is_touched = cell.state.as_ref().is_some_and(RunState::is_touched);
                // What was asked of a run that had to be loaded went first, and was refused.
                if is_touched || (cell.driven && cell.unlisted) {
                    self.dispatch(cell);
                }
            }
            Next::Append => self.send(cell),
            Next::Fetch(wanted) => {
                if cell.outbox.is_empty() {
                    cell.phase = Phase::Fetching;
                    self.fetch(cell, wanted, WantedBy::Decision);
                } else {
                    // What was decided before goes first; the next look asks again.
                    self.send(cell);
                }
            }
            Next::Aside(reason) => self.set_aside(cell, reason),
        }
    }

    /// Appends the first chunk of the outbox.
    pub(super) fn send(&mut self, cell: &mut Cell) {
        let Some((append, blobs)) = cell.next_append(&self.shared) else { return };
        cell.phase = Phase::Appending;
        let (run, shared) = (cell.run, Arc::clone(&self.shared));
        self.jobs.push(Box::pin(async move {
            if !blobs.is_empty() {
                let keeper = Arc::clone(&shared.blobs);
                let kept = shared.config.blocking.run(move || {
                    blobs.iter().try_for_each(|(_, text)| keeper.put(run, text.as_str().as_bytes()).map(drop))
                });
                let kept = kept.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                if let Err(error) = kept {
                    return Done::Appended { run, result: Err(AppendFailure::Blob(error)) };
                }
            }
            let result = shared.store.append(append).await.map_err(AppendFailure::Store);
            Done::Appended { run, result }
        }));
    }

    /// Reads values; the run goes on where it waits for them.
    pub(super) fn fetch(&mut self, cell: &mut Cell, wanted: Vec<ValueRef>, wanted_by: WantedBy) {
        cell.fetching += 1;
        let (run, shared) = (cell.run, Arc::clone(&self.shared));
        self.jobs.push(Box::pin(async move {
            let result = shared.values.load(run, wanted).await;
            Done::Values { run, wanted_by, result }
        }));
    }

    fn fetched(
        &mut self,
        cell: &mut Cell,
        wanted_by: WantedBy,
        result: Result<Vec<(ValueRef, JsonText)>, LoadError>,
    ) {
        cell.fetching = cell.fetching.saturating_sub(1);
        match result {
            Ok(values) => {
                let into = match &wanted_by {
                    WantedBy::Decision => &mut cell.known,
                    WantedBy::Attempt(_) | WantedBy::Part(_) => &mut cell.loaded,
                };
                values.into_iter().for_each(|(value, text)| into.insert(&value, text));
            }
            Err(error) => {
                if let WantedBy::Attempt(id) = &wanted_by
                    && matches!(cell.work.get(id), Some(Work::Planning(_)))
                {
                    // Whatever lists it next plans it again.
                    cell.work.remove(id);
                }
                // A notice that cannot be read now waits without one.
                cell.give_up_places();
                if !error.is_full() {
                    return self.set_aside(cell, error.to_string());
                }
                return match wanted_by {
                    WantedBy::Decision => self.decide_later(cell),
                    WantedBy::Attempt(_) | WantedBy::Part(_) => self.list_later(cell),
                };
            }
        }
        match wanted_by {
            WantedBy::Decision if matches!(cell.phase, Phase::Fetching) => cell.phase = Phase::Ready,
            WantedBy::Decision => {}
            start => self.go_on_with(cell, start),
        }
        self.mark(cell);
    }

    /// Starts what had to wait, where the state is durable (D2), else as soon as it is.
    pub(super) fn go_on_with(&mut self, cell: &mut Cell, start: WantedBy) {
        if matches!(cell.phase, Phase::Appending) {
            return cell.later.push(start);
        }
        match start {
            WantedBy::Decision => {}
            WantedBy::Attempt(id) => self.planned(cell, id),
            WantedBy::Part(part) => self.dispatch_part(cell, &part),
        }
    }

    fn failed(&mut self, cell: &mut Cell, failure: AppendFailure) {
        let error = match failure {
            AppendFailure::Blob(error) if is_shortage(&error) => AppendError::Full,
            AppendFailure::Blob(error) => {
                return self.put_aside(cell, format!("a large value could not be kept: {error}"));
            }
            AppendFailure::Store(error) => error,
        };
        match error {
            AppendError::WrongExpectedVersion { .. }
            | AppendError::WrongPreviousHash { .. }
            | AppendError::Unknown(_) => {
                cell.requeue();
                cell.tries += 1;
                cell.is_in_doubt = matches!(error, AppendError::Unknown(_));
                if cell.tries > self.shared.config.tries {
                    return self.put_aside(cell, format!("{} appends in a row failed: {error}", cell.tries));
                }
                self.load(cell);
            }
            AppendError::DedupConflict => {
                cell.drop_first(|queued| queued.answer(Err(SubmitError::KeyReused)));
                self.load(cell);
            }
            AppendError::Full => self.append_later(cell),
            AppendError::ReadOnly(_) => self.append_when_taken(cell, &error),
            AppendError::NotOurs(_) | AppendError::Fenced { .. } | AppendError::Closed => {
                cell.requeue();
                let error = SubmitError::Store(error.to_string());
                cell.refuse(|queued| queued.answer.is_some(), &error);
                self.put_aside(cell, error.to_string());
            }
            AppendError::TooLarge { .. } | AppendError::Malformed(_) => {
                self.put_aside(cell, error.to_string());
            }
        }
    }

    /// Leaves a run that cannot be gone on with; what comes for it is kept up to a bound. Of what is on
    /// its way into the store it is heard first: a run has one append in flight.
    pub(super) fn set_aside(&mut self, cell: &mut Cell, reason: String) {
        if matches!(cell.phase, Phase::Appending) {
            cell.doom.get_or_insert(reason);
        } else {
            self.put_aside(cell, reason);
        }
    }

    fn put_aside(&mut self, cell: &mut Cell, reason: String) {
        tracing::error!(run = %cell.run, reason, "run set aside");
        cell.requeue();
        let error = SubmitError::SetAside { run: cell.run, reason: reason.clone() };
        cell.refuse(|queued| queued.answer.is_some(), &error);
        self.shared.aside().insert(cell.run, reason.clone());
        // What the desk and the treasury answer now is not heard: once it is there again it asks again.
        cell.wanting = false;
        cell.give_up_places();
        cell.asked.clear();
        cell.reported.clear();
        for waiting in cell.awaited.drain(..) {
            let _gone = waiting.send(true);
        }
        cell.phase = Phase::Aside(reason);
    }

    /// Keeps a snapshot in the background when loading has become much dearer than the state is large.
    fn keep_snapshot(&mut self, cell: &mut Cell) {
        let since = &mut cell.since;
        if since.events < SNAPSHOT_EVENTS || since.bytes <= SNAPSHOT_WEIGHT * since.state_bytes {
            return;
        }
        let Some(state) = &cell.state else { return };
        let bytes = state.snapshot();
        since.state_bytes = bytes.len() as u64;
        if since.bytes <= SNAPSHOT_WEIGHT * since.state_bytes {
            return;
        }
        (since.events, since.bytes) = (0, 0);
        let snapshot = Snapshot { version: cell.version, hash: cell.hash, fold_version: FOLD_VERSION, bytes };
        let (stream, shared) = (cell.stream.clone(), Arc::clone(&self.shared));
        self.jobs.push(Box::pin(async move {
            if let Err(error) = shared.store.save_snapshot(&stream, snapshot).await {
                tracing::warn!(%stream, %error, "a snapshot was not kept; loads go on without it");
            }
            Done::Kept
        }));
    }
}

impl Cell {
    /// Shows the state, which is durable, to those who wait for nothing else.
    pub(super) fn answer_looks(&mut self) {
        let is_copy = self.is_copy();
        let Some(state) = self.state.as_ref().filter(|_| !is_copy) else { return };
        for item in std::mem::take(&mut self.queue) {
            match item {
                Item::Look(look) => look(Ok(state)),
                input => self.queue.push_back(input),
            }
        }
    }

    /// Answers the waiting inputs of a kind with an error; they are not kept. Looks end too where
    /// the run cannot be folded.
    pub(super) fn refuse(&mut self, is_meant: impl Fn(&Queued) -> bool, error: &SubmitError) {
        let mut kept = std::mem::take(&mut self.queue);
        kept.retain_mut(|item| match item {
            Item::Input(queued) if is_meant(queued) => {
                queued.answer(Err(error.clone()));
                false
            }
            _ => true,
        });
        for item in kept {
            match (item, error) {
                (Item::Look(look), SubmitError::SetAside { run, reason }) => {
                    look(Err(QueryError::SetAside { run: *run, reason: reason.clone() }));
                }
                (item, _) => self.queue.push_back(item),
            }
        }
    }
}

/// Ends the process as a power cut would end it: for tests and demonstrations of recovery.
pub(in crate::driver) fn die() -> ! {
    let _never_returns =
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

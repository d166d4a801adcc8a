//! The threads of the read side: one reads the log, one folds, one writes what was folded, one more for each model
//! that is built anew.
//!
//! Law: an append never waits for them; every queue between them is bounded.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use everfold_base::id::Position;
use everfold_store::ReadError;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::channel::{Disconnected, FactReceiver, FactSender, channel};
use super::error::ReadSideError;
use super::state::ReadSideState;
use crate::generation;
use crate::log_reader::FactReader;
use crate::model::{AnyModel, Rebuild};
use crate::storage::StorageError;

/// Changes that are worth a checkpoint, while the models keep up and while they do not.
const CHANGES: usize = 2_000;
const CHANGES_BEHIND: usize = 4_000;
/// Events behind the head that count as not keeping up, and behind the models that a checkpoint is to follow.
const BEHIND: u64 = 20_000;
/// Events that are shown together where there are so many more to come.
const SHOWN_AT_ONCE: u64 = 8_192;
/// How long changes wait for a checkpoint at most.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// Changes that may wait while the storage cannot be written; then the fold pauses.
const WAITING_MAX: usize = 50_000;
/// When a storage that cannot be written, or a log that cannot be read, is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How many unreadable events are remembered.
const UNREADABLE_MAX: usize = 1_000;

/// Reads the log ahead of the fold, and tries again where it cannot be read. Body of a thread.
pub(super) async fn follow(
    shared: &ReadSideState,
    first: Position,
    fold: &FactSender,
    mut stopping: watch::Receiver<bool>,
    report_to: ReportTo,
) {
    let from = |first| FactReader::from(Arc::clone(&shared.store), first, shared.location.values.as_deref());
    let (mut source, mut position) = (from(first), first);
    let mut is_reported = false;
    loop {
        let mut facts = fold.used();
        let read = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return,
            () = fold.gone() => return,
            read = source.next(&mut facts) => read,
        };
        match read {
            Ok(()) => {
                if std::mem::take(&mut is_reported) {
                    report_unread(shared, report_to, None);
                }
                position = facts.last.next();
                if let Err(Disconnected) = fold.give(facts) {
                    return;
                }
            }
            Err(ReadError::Closed) => return,
            Err(error) => {
                if !std::mem::replace(&mut is_reported, true) {
                    tracing::error!(%error, "the log cannot be read; the read models stand still until it can be");
                }
                report_unread(shared, report_to, Some(Arc::new(error)));
                tokio::select! {
                    biased;
                    _ = stopping.wait_for(|stop| *stop) => return,
                    () = tokio::time::sleep(AGAIN_AFTER) => {}
                }
                // Events of the failed read are read once more.
                source = from(position);
            }
        }
    }
}

/// What a failed read of the log is reported to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportTo {
    /// Queries that wait for the models.
    Readers,
    /// No query: the models that answer have folded it.
    NoQuery,
}

fn report_unread(shared: &ReadSideState, report_to: ReportTo, why: Option<Arc<ReadError>>) {
    if report_to == ReportTo::Readers {
        shared.progress.send_modify(|progress| progress.unread = why);
    }
}

/// Folds what is read, and prepares checkpoints. Body of a thread.
pub(super) fn fold(
    shared: &ReadSideState,
    handed: &FactReceiver,
    ready: &SyncSender<ReadyCheckpoint>,
    stopping: &watch::Receiver<bool>,
) {
    let kept: Vec<u32> = shared.models.all().iter().map(|model| model.generation().number).collect();
    let mut former = generation::former_generations(&shared.storage, &kept).unwrap_or_default();
    let mut last_checkpoint = Instant::now();
    let mut shown_up_to = shared.progress.borrow().position;
    loop {
        match handed.take(CHECKPOINT_EVERY) {
            Ok(mut read) => {
                // While the models are far behind, they publish in larger parts.
                let is_far = shared.store.last_position().0.saturating_sub(read.last.0) > SHOWN_AT_ONCE;
                let shows = !is_far || read.last.0.saturating_sub(shown_up_to.0) >= SHOWN_AT_ONCE;
                let mut shown = shared.shown.lock().unwrap_or_else(PoisonError::into_inner);
                shared.models.all().iter().for_each(|model| model.take(&read));
                if shows {
                    shared.models.all().iter().for_each(|model| model.show());
                    shown_up_to = read.last;
                }
                *shown = read.last;
                drop(shown);
                if !read.unreadable.is_empty() {
                    let mut unreadable = shared.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
                    let room = UNREADABLE_MAX.saturating_sub(unreadable.len());
                    unreadable.extend(read.unreadable.drain(..).take(room));
                }
                report_progress(shared, read.last);
                handed.give_back(read);
            }
            Err(RecvTimeoutError::Timeout) => shared.models.all().iter().for_each(|model| model.show()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let head = shared.store.last_position();
        let is_behind = head.0.saturating_sub(shared.progress.borrow().position.0) > BEHIND;
        let enough = if is_behind { CHANGES_BEHIND } else { CHANGES };
        let is_due = last_checkpoint.elapsed() >= CHECKPOINT_EVERY;
        for (number, model) in shared.models.all().into_iter().enumerate() {
            // A model without changes is checkpointed, too: after a kill the log is read from the earliest checkpoint on.
            let is_wanted = || model.changed() > 0 || model.unsaved() > BEHIND;
            if model.changed() >= enough || (is_due && is_wanted()) {
                last_checkpoint = Instant::now();
                checkpoint(number, model, ready, stopping);
            }
        }
        if !is_behind
            && let Some(number) = former.pop()
            && let Err(error) = generation::remove_generation(&shared.storage, number)
        {
            tracing::warn!(%error, "a former read model could not be removed");
        }
    }
    shared.progress.send_modify(|progress| progress.closed = true);
}

/// A model whose checkpoint is prepared, and the folding thread, which waits where too much is unwritten.
pub(super) struct ReadyCheckpoint {
    model: usize,
    folder: Thread,
}

/// Prepares a checkpoint, unless the last one is still being written. Where the storage cannot be written, what waits
/// is bounded: the fold pauses, and queries report how far behind the models are.
fn checkpoint(
    number: usize,
    model: &dyn AnyModel,
    ready: &SyncSender<ReadyCheckpoint>,
    stopping: &watch::Receiver<bool>,
) {
    loop {
        match model.prepare() {
            // Where the channel is full, the model is written in its turn.
            Ok(true) => {
                drop(ready.try_send(ReadyCheckpoint { model: number, folder: std::thread::current() }))
            }
            Ok(false) => {}
            Err(error) => tracing::error!(model = model.name(), %error, "a read model stopped"),
        }
        if model.changed() < WAITING_MAX || *stopping.borrow() {
            return;
        }
        std::thread::park_timeout(AGAIN_AFTER);
    }
}

/// Writes checkpoints, and retries each until it is written. Body of a thread.
pub(super) fn write_checkpoints(
    shared: &ReadSideState,
    ready: &Receiver<ReadyCheckpoint>,
    stopping: &watch::Receiver<bool>,
) {
    while let Ok(ReadyCheckpoint { model, folder }) = ready.recv() {
        let models = shared.models.all();
        let model = models[model];
        while let Err(error) = model.write_prepared() {
            tracing::warn!(model = model.name(), %error, "a read model could not be put away yet");
            if *stopping.borrow() {
                break;
            }
            std::thread::sleep(AGAIN_AFTER);
        }
        folder.unpark();
    }
}

fn report_progress(shared: &ReadSideState, folded: Position) {
    let position = shared.models.position().unwrap_or(folded);
    shared.progress.send_if_modified(|progress| {
        let ready = progress.ready || position >= shared.head_at_open;
        let is_news = progress.position != position || progress.ready != ready;
        (progress.position, progress.ready) = (position, ready);
        is_news
    });
}

/// Builds a model beside the one that answers: the log is read on a thread of its own, which ends with this one. Says
/// through `begun` whether that has begun. Body of a thread.
pub(super) fn rebuild(
    shared: &ReadSideState,
    runtime: &Handle,
    model: usize,
    stopping: &watch::Receiver<bool>,
    begun: oneshot::Sender<Result<(), ReadSideError>>,
) {
    let number = shared.next_generation.fetch_add(1, Ordering::Relaxed);
    let models = shared.models.all();
    let name = models[model].name();
    let mut beside = match models[model].begin_rebuild(number) {
        Ok(Some(beside)) => beside,
        Ok(None) => {
            let _unheard = begun.send(Err(ReadSideError::Rebuilding(name)));
            return;
        }
        Err(source) => {
            tracing::error!(model = name, error = %source, "a read model could not be built anew");
            let _unheard = begun.send(Err(ReadSideError::Fold { name, source }));
            return;
        }
    };
    let _unheard = begun.send(Ok(()));
    let (sender, receiver) = channel();
    let stopping = stopping.clone();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(move || {
            runtime.block_on(follow(shared, Position::FIRST, &sender, stopping, ReportTo::NoQuery))
        });
        let outcome = build(shared, beside.as_mut(), &receiver);
        // Ends the thread that reads.
        drop(receiver);
        outcome
    });
    // The process ends; the next rebuild starts over.
    let Some(outcome) = outcome else { return };
    let removed = match &outcome {
        Ok(former) => generation::remove_generation(&shared.storage, *former),
        Err(error) => {
            let position = beside.position();
            tracing::error!(model = name, %position, error, "a read model could not be built anew");
            generation::remove_generation(&shared.storage, number)
        }
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "the former read model could not be removed");
    }
    drop(beside);
    let shown = *shared.shown.lock().unwrap_or_else(PoisonError::into_inner);
    report_progress(shared, shown);
}

/// Folds until the model has come as far as the one that answers, and takes its place. Returns the generation that is
/// not used any more, or what went wrong; `None`: the log is not read any more.
fn build(
    shared: &ReadSideState,
    beside: &mut dyn Rebuild,
    handed: &FactReceiver,
) -> Option<Result<u32, String>> {
    loop {
        if let Some(stopped) = beside.stopped() {
            return Some(Err(stopped.what));
        }
        let taken = {
            let shown = shared.shown.lock().unwrap_or_else(PoisonError::into_inner);
            beside.take_over(*shown)
        };
        match taken {
            Ok(Some(former)) => return Some(Ok(former)),
            Ok(None) => {}
            Err(error) => return Some(Err(error.to_string())),
        }
        match handed.take(CHECKPOINT_EVERY) {
            Ok(facts) => {
                if let Err(error) = beside.fold(&facts) {
                    return Some(Err(error.to_string()));
                }
                handed.give_back(facts);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// Starts a named thread.
pub(super) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StorageError> {
    Ok(std::thread::Builder::new().name(name.to_owned()).spawn(work)?)
}

//! The threads of the read side: one reads the log, one folds, one writes what was folded, one more for each model
//! that is built anew.
//!
//! Law: they are never waited for by who appends; what waits between them is bounded.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread::Thread;
use std::time::{Duration, Instant};

use everfold_engine::id::Position;
use everfold_engine::store::ReadError;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::Shared;
use super::handover::{Giver, Gone, Taker, handover};
use crate::generation;
use crate::model::{AnyModel, Rebuild};
use crate::source::Source;

/// Changes that are worth a checkpoint, while the models keep up and while they do not.
const CHANGES: usize = 2_000;
const CHANGES_BEHIND: usize = 4_000;
/// Events behind the head that count as not keeping up, and behind the models that a checkpoint is to follow.
const BEHIND: u64 = 20_000;
/// Events that are shown together where there are so many more to come.
const SHOWN_AT_ONCE: u64 = 8_192;
/// How long changes wait for a checkpoint at most.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// Changes that wait for a shelf that takes nothing; after that the models stand still.
const WAITING_MAX: usize = 50_000;
/// When such a shelf, or a log that cannot be read, is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How many unreadable events are remembered.
const UNREADABLE_MAX: usize = 1_000;

/// Reads the log ahead of the fold. Where it cannot be read, it is tried again. The thread's whole life.
pub(super) async fn follow(
    shared: &Shared,
    first: Position,
    fold: &Giver,
    mut stopping: watch::Receiver<bool>,
    tells: Tells,
) {
    let from = |first| Source::from(Arc::clone(&shared.store), first, shared.place.values.as_deref());
    let (mut source, mut position) = (from(first), first);
    let mut is_told = false;
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
                if std::mem::take(&mut is_told) {
                    say_unread(shared, tells, None);
                }
                position = facts.last.next();
                if let Err(Gone) = fold.give(facts) {
                    return;
                }
            }
            Err(ReadError::Closed) => return,
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::error!(%error, "the log cannot be read; the read models stand still until it can be");
                }
                say_unread(shared, tells, Some(Arc::new(error)));
                tokio::select! {
                    biased;
                    _ = stopping.wait_for(|stop| *stop) => return,
                    () = tokio::time::sleep(AGAIN_AFTER) => {}
                }
                // What was taken out and led to nothing is taken once more.
                source = from(position);
            }
        }
    }
}

/// Whom it concerns that the log cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// Everybody who waits for the models.
    Readers,
    /// Nobody: the models that answer have folded it.
    Nobody,
}

fn say_unread(shared: &Shared, tells: Tells, why: Option<Arc<ReadError>>) {
    if tells == Tells::Readers {
        shared.told.send_modify(|told| told.unread = why);
    }
}

/// Folds what is read, and has the shelf brought up now and then. The thread's whole life.
pub(super) fn fold(
    shared: &Shared,
    handed: &Taker,
    ready: &SyncSender<Ready>,
    stopping: &watch::Receiver<bool>,
) {
    let kept: Vec<u32> = shared.models.all().iter().map(|model| model.generation().number).collect();
    let mut former = generation::former_generations(&shared.shelf, &kept).unwrap_or_default();
    let mut last_checkpoint = Instant::now();
    let mut shown_up_to = shared.told.borrow().position;
    loop {
        match handed.take(CHECKPOINT_EVERY) {
            Ok(mut read) => {
                // While much is missing, readers are not told of each little part.
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
                tell(shared, read.last);
                handed.give_back(read);
            }
            Err(RecvTimeoutError::Timeout) => shared.models.all().iter().for_each(|model| model.show()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let head = shared.store.last_position();
        let is_behind = head.0.saturating_sub(shared.told.borrow().position.0) > BEHIND;
        let enough = if is_behind { CHANGES_BEHIND } else { CHANGES };
        let is_due = last_checkpoint.elapsed() >= CHECKPOINT_EVERY;
        for (number, model) in shared.models.all().into_iter().enumerate() {
            // One that nothing happens to is brought up, too: after a kill the log is read from the earliest on.
            let is_wanted = || model.changed() > 0 || model.unsaved() > BEHIND;
            if model.changed() >= enough || (is_due && is_wanted()) {
                last_checkpoint = Instant::now();
                checkpoint(number, model, ready, stopping);
            }
        }
        if !is_behind
            && let Some(number) = former.pop()
            && let Err(error) = generation::remove_generation(&shared.shelf, number)
        {
            tracing::warn!(%error, "a former read model could not be removed");
        }
    }
    shared.told.send_modify(|told| told.closed = true);
}

/// A model whose checkpoint is ready to be written, and who waits if too much else does.
pub(super) struct Ready {
    model: usize,
    folder: Thread,
}

/// Makes a checkpoint, unless the last one is still being written. Where the shelf takes nothing, what waits for it is
/// bounded: no more is folded until it does, and readers are told how far behind the models are.
fn checkpoint(
    number: usize,
    model: &dyn AnyModel,
    ready: &SyncSender<Ready>,
    stopping: &watch::Receiver<bool>,
) {
    loop {
        match model.prepare() {
            // Where it is full, the model is written in its turn.
            Ok(true) => drop(ready.try_send(Ready { model: number, folder: std::thread::current() })),
            Ok(false) => {}
            Err(error) => tracing::error!(model = model.name(), %error, "a read model stopped"),
        }
        if model.changed() < WAITING_MAX || *stopping.borrow() {
            return;
        }
        std::thread::park_timeout(AGAIN_AFTER);
    }
}

/// Writes checkpoints, each as often as it takes. The thread's whole life.
pub(super) fn put_away(shared: &Shared, ready: &Receiver<Ready>, stopping: &watch::Receiver<bool>) {
    while let Ok(Ready { model, folder }) = ready.recv() {
        let models = shared.models.all();
        let model = models[model];
        while let Err(error) = model.put_away() {
            tracing::warn!(model = model.name(), %error, "a read model could not be put away yet");
            if *stopping.borrow() {
                break;
            }
            std::thread::sleep(AGAIN_AFTER);
        }
        folder.unpark();
    }
}

fn tell(shared: &Shared, folded: Position) {
    let position = shared.models.position().unwrap_or(folded);
    shared.told.send_if_modified(|told| {
        let ready = told.ready || position >= shared.head_at_open;
        let is_news = told.position != position || told.ready != ready;
        (told.position, told.ready) = (position, ready);
        is_news
    });
}

/// Builds a model beside the one that answers: the log is read on a thread of its own, which ends with this one.
/// The thread's whole life.
pub(super) fn rebuild(shared: &Shared, runtime: &Handle, model: usize, stopping: &watch::Receiver<bool>) {
    let number = shared.next_generation.fetch_add(1, Ordering::Relaxed);
    let models = shared.models.all();
    let Some(mut beside) = models[model].begin_rebuild(number) else { return };
    let (giver, taker) = handover();
    let stopping = stopping.clone();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(move || {
            runtime.block_on(follow(shared, Position::FIRST, &giver, stopping, Tells::Nobody))
        });
        let outcome = build(shared, beside.as_mut(), &taker);
        // Who reads is to end, too.
        drop(taker);
        outcome
    });
    // The engine ends; the next one begins anew.
    let Some(outcome) = outcome else { return };
    let removed = match &outcome {
        Ok(former) => generation::remove_generation(&shared.shelf, *former),
        Err(error) => {
            let position = beside.position();
            tracing::error!(model = models[model].name(), %position, error, "a read model could not be built anew");
            generation::remove_generation(&shared.shelf, number)
        }
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "the former read model could not be removed");
    }
    drop(beside);
    let shown = *shared.shown.lock().unwrap_or_else(PoisonError::into_inner);
    tell(shared, shown);
}

/// Folds until the model has come as far as the one that answers, and takes its place. Gives the generation that nobody
/// needs any more, or what went wrong; `None`: the log is not read any more.
fn build(shared: &Shared, beside: &mut dyn Rebuild, handed: &Taker) -> Option<Result<u32, String>> {
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

//! The threads of the read side: one reads the log, one folds, one more for each model that is built anew.
//!
//! Law: they are never waited for by who appends; what waits between them is bounded.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use everfold_engine::id::Position;
use everfold_engine::store::ReadError;
use tokio::sync::watch;

use super::Shared;
use crate::model::{self, AnyModel};
use crate::source::{Facts, Source};

/// Changes that are worth a checkpoint, while the models keep up and while they do not.
const CHANGES: usize = 2_000;
const CHANGES_BEHIND: usize = 4_000;
/// Events behind the head that count as not keeping up.
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

/// Reads the log ahead of the fold, and lets go of what was folded: it was allocated here, and the fold has
/// more to do. Where it cannot be read, it is tried again. The thread's whole life.
pub(super) async fn follow(
    shared: &Shared,
    first: Position,
    facts: &SyncSender<Facts>,
    used: &Receiver<Facts>,
    mut stopping: watch::Receiver<bool>,
) {
    let from = |first| Source::from(Arc::clone(&shared.store), first, shared.place.values.as_deref());
    let (mut source, mut position) = (from(first), first);
    let mut is_told = false;
    loop {
        let spare = used.try_iter().last().unwrap_or_default();
        let next = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return,
            next = source.next(spare) => next,
        };
        match next {
            Ok(read) => {
                (position, is_told) = (read.last.next(), false);
                if facts.send(read).is_err() {
                    return;
                }
            }
            Err(ReadError::Closed) => return,
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::error!(%error, "the log cannot be read; the read models stand still until it can be");
                }
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

/// Folds what is read, and brings the shelf up now and then. The thread's whole life.
pub(super) fn fold(
    shared: &Shared,
    facts: &Receiver<Facts>,
    used: &SyncSender<Facts>,
    stopping: &watch::Receiver<bool>,
) {
    let kept: Vec<u32> = shared.models.all().iter().map(|model| model.generation().number).collect();
    let mut former = model::former_generations(&shared.shelf, &kept).unwrap_or_default();
    let mut last_checkpoint = Instant::now();
    let mut shown_up_to = shared.told.borrow().position;
    loop {
        match facts.recv_timeout(CHECKPOINT_EVERY) {
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
                // Where the reader is slow to take it, it is let go of here.
                let _full = used.try_send(read);
            }
            Err(RecvTimeoutError::Timeout) => shared.models.all().iter().for_each(|model| model.show()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let head = shared.store.last_position();
        let is_behind = head.0.saturating_sub(shared.told.borrow().position.0) > BEHIND;
        let enough = if is_behind { CHANGES_BEHIND } else { CHANGES };
        let is_due = last_checkpoint.elapsed() >= CHECKPOINT_EVERY;
        for model in shared.models.all() {
            if model.changed() >= enough || (is_due && model.changed() > 0) {
                last_checkpoint = Instant::now();
                put_away(model, stopping);
            }
        }
        if !is_behind
            && let Some(number) = former.pop()
            && let Err(error) = model::remove_generation(&shared.shelf, number)
        {
            tracing::warn!(%error, "a former read model could not be removed");
        }
    }
    shared.told.send_modify(|told| told.closed = true);
}

/// Makes a checkpoint. Where the shelf takes nothing, what waits for it is bounded: no more is folded until
/// it does, and readers are told how far behind the models are.
fn put_away(model: &dyn AnyModel, stopping: &watch::Receiver<bool>) {
    while let Err(error) = model.checkpoint() {
        tracing::warn!(model = model.name(), %error, "a read model could not be put away yet");
        if model.changed() < WAITING_MAX || *stopping.borrow() {
            return;
        }
        std::thread::park_timeout(AGAIN_AFTER);
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

/// Builds a model beside the one that answers. The thread's whole life.
pub(super) async fn rebuild(shared: &Shared, model: usize, mut stopping: watch::Receiver<bool>) {
    let number = shared.next_generation.fetch_add(1, Ordering::Relaxed);
    let models = shared.models.all();
    let Some(mut beside) = models[model].begin_rebuild(number) else { return };
    let mut source = Source::from(Arc::clone(&shared.store), Position::FIRST, shared.place.values.as_deref());
    let mut spare = Facts::default();
    let outcome = loop {
        if let Some(stopped) = beside.stopped() {
            break Err(stopped.what);
        }
        let taken = {
            let shown = shared.shown.lock().unwrap_or_else(PoisonError::into_inner);
            beside.take_over(*shown)
        };
        match taken {
            Ok(Some(former)) => break Ok(former),
            Ok(None) => {}
            Err(error) => break Err(error.to_string()),
        }
        let next = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return,
            next = source.next(std::mem::take(&mut spare)) => next,
        };
        let folded = match next {
            Ok(facts) => {
                let folded = beside.fold(&facts);
                spare = facts;
                folded.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = folded {
            break Err(error);
        }
    };
    let removed = match &outcome {
        Ok(former) => model::remove_generation(&shared.shelf, *former),
        Err(error) => {
            let position = beside.position();
            tracing::error!(model = models[model].name(), %position, error, "a read model could not be built anew");
            model::remove_generation(&shared.shelf, number)
        }
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "the former read model could not be removed");
    }
    drop(beside);
    let shown = *shared.shown.lock().unwrap_or_else(PoisonError::into_inner);
    tell(shared, shown);
}

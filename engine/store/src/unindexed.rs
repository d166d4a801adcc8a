//! Published appends that are not in the index yet, by stream.
//!
//! Law: the index and these appends together are all that is published; nothing leaves before the index holds it. The
//! journal alone makes an append durable, so no append waits for sled; a reader is given what stands here, or has it
//! brought in first. After a kill the journal's tail is read instead.
//!
//! It exists for the bytes: what a run appends within a short time goes into the index as one value and one head, and a
//! run that began and ended meanwhile was never busy.
//!
//! Filled by `post_commit`, emptied by `index_writer`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::committed::{CommittedAppend, RECORD_AT};
use super::error::ReadError;
use super::index_record::{DedupRecord, HeadRecord};
use super::record;
use super::sled;
use super::sled::{IndexBatch, IndexEntry};
use super::write_gate::IndexHealth;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;

/// Bytes of records that are worth a turn of their thread; at twice as many the writer waits.
const ENOUGH_BYTES: usize = 3 * 1024 * 1024;
/// Appends that are.
const ENOUGH_APPENDS: usize = 8_192;

#[derive(Default)]
struct UnindexedState {
    waiting: IndexBatch,
    /// On its way into the index; still looked at until it is there.
    moving: Option<Arc<IndexBatch>>,
    /// The index did not take it.
    failed: bool,
    stopped: bool,
}

impl UnindexedState {
    fn is_times(&self, factor: usize) -> bool {
        self.waiting.bytes() >= factor * ENOUGH_BYTES || self.waiting.appends() >= factor * ENOUGH_APPENDS
    }
}

/// Published appends in their order, by stream.
#[derive(Default)]
pub(crate) struct Unindexed {
    state: Mutex<UnindexedState>,
    changed: Condvar,
    /// Held while something is brought in.
    turn: Mutex<()>,
}

impl Unindexed {
    fn state(&self) -> MutexGuard<'_, UnindexedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a group's appends, before they are published.
    pub(crate) fn add(&self, appends: &[CommittedAppend]) {
        let mut state = self.state();
        for CommittedAppend { append, record, appended, head_before, head, .. } in appends {
            state.waiting.add(&IndexEntry {
                stream: &append.stream,
                appended,
                record: &record[RECORD_AT..],
                before: head_before.map(|head| head.note),
                head: *head,
            });
            if let Some(dedup) = &append.dedup {
                state.waiting.add_dedup(dedup.key, DedupRecord::new(dedup, appended));
            }
        }
        if state.is_times(1) {
            self.changed.notify_all();
        }
    }

    /// Waits while there is too much, unless the index takes nothing anyway.
    pub(crate) fn wait_for_room(&self, health: &watch::Receiver<IndexHealth>) {
        let mut state = self.state();
        while state.is_times(2) && !state.stopped && *health.borrow() == IndexHealth::Whole {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A stream's head, where something of it is here.
    pub(crate) fn head(&self, stream: &StreamId) -> Option<HeadRecord> {
        let state = self.state();
        let moving = || state.moving.as_ref().and_then(|moving| moving.head(stream));
        state.waiting.head(stream).or_else(moving)
    }

    /// The entry of an idempotent write that is here.
    pub(crate) fn dedup(&self, key: &Hash) -> Option<DedupRecord> {
        let state = self.state();
        let moving = || state.moving.as_ref().and_then(|moving| moving.dedup(key));
        state.waiting.dedup(key).or_else(moving)
    }

    /// Up to `limit` events of a stream from a version on, none behind the position `last`; `None` where
    /// the first of them is not here.
    pub(crate) fn read(
        &self,
        stream: &StreamId,
        from: Version,
        limit: usize,
        last: Position,
    ) -> Option<Result<Vec<Envelope>, ReadError>> {
        let from = from.max(Version::FIRST);
        let values: Vec<(Version, Vec<u8>)> = {
            let state = self.state();
            let moving = state.moving.as_ref().map_or(&[][..], |moving| moving.values(stream));
            let values: Vec<_> = moving.iter().chain(state.waiting.values(stream)).collect();
            let begin = values.partition_point(|(first, _)| *first <= from).checked_sub(1)?;
            let end = from.0.saturating_add(limit as u64);
            values[begin..]
                .iter()
                .take_while(|(first, _)| first.0 < end)
                .map(|&value| value.clone())
                .collect()
        };
        let decode = |(first, value): &(Version, Vec<u8>)| {
            let damaged = |what| ReadError::DamagedStream { stream: stream.clone(), version: *first, what };
            let mut events = Vec::new();
            for (place, record) in sled::appends_in(value).map_err(damaged)? {
                let (_, batch) =
                    record::decode(record, place.first_position, place.committed_at).map_err(damaged)?;
                events.extend(batch);
            }
            Ok(events)
        };
        let events = values.iter().map(decode).collect::<Result<Vec<_>, _>>();
        Some(events.map(|events| {
            let wanted = |event: &Envelope| event.header.version >= from && event.position <= last;
            events.into_iter().flatten().filter(wanted).take(limit).collect()
        }))
    }

    /// Whether the index did not take what it was last given.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// Another index stands in the place of the one that did not take what it was given.
    pub(crate) fn index_replaced(&self) {
        self.state().failed = false;
    }

    /// The right to bring something in: one thread at a time.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes into the index next: what an earlier try left, or else all that waits.
    pub(crate) fn start_moving(&self) -> Option<Arc<IndexBatch>> {
        let mut state = self.state();
        if state.moving.is_none() && state.waiting.span().is_some() {
            state.moving = Some(Arc::new(std::mem::take(&mut state.waiting)));
        }
        state.moving.clone()
    }

    /// Takes note of whether the index took what was moving; what it did not take stays here.
    pub(crate) fn finish_moving(&self, is_taken: bool) {
        let mut state = self.state();
        state.failed = !is_taken;
        if is_taken {
            state.moving = None;
        }
    }

    /// Wakes the threads that wait for room, or for enough to bring in. They look at the index's health too, so the
    /// lock is taken for a moment: none of them is between its look and its sleep.
    pub(crate) fn notify(&self) {
        drop(self.state());
        self.changed.notify_all();
    }

    /// Waits until there is enough to bring in and the index takes it; `false` after [`Self::stop`].
    pub(crate) fn wait_for_enough(&self, health: &watch::Receiver<IndexHealth>) -> bool {
        let mut state = self.state();
        while !state.stopped {
            if state.is_times(1) && *health.borrow() == IndexHealth::Whole {
                return true;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        false
    }

    /// Ends [`Self::wait_for_enough`] and [`Self::wait_for_room`].
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }
}

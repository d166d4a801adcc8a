//! What is published and not in the index yet.
//!
//! Law: index and backlog together hold all that is published; nothing leaves the backlog before the
//! index holds it. The journal alone makes an append durable, so nobody who appends waits for sled; a
//! reader is given what stands here, or has it brought in first. After a kill the journal's tail is read
//! instead.
//!
//! It is there for the bytes: what a run appends within a short time goes into the index as one value
//! and one head, and a run that began and ended meanwhile was never busy.
//!
//! Filled by the applier. Emptied by a thread of its own when there is enough, by the keeper before a
//! checkpoint, and by readers.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::applier::{Committed, RECORD_AT};
use super::gate::IndexHealth;
use super::judge::{DedupRecord, HeadRecord};
use super::keeper::Keeper;
use super::renew;
use super::shared::Shared;
use super::sled::{self, Behind, IndexBatch, IndexEntry};
use super::{ReadError, record};
use crate::envelope::{Envelope, StreamId};
use crate::id::{Position, Version};
use crate::json::Hash;

/// Bytes of records that are worth a turn of their thread; at twice as many the writer waits.
const ENOUGH_BYTES: usize = 3 * 1024 * 1024;
/// Appends that are.
const ENOUGH_APPENDS: usize = 8_192;

/// What a reader needs of the backlog to be in the index.
#[derive(Debug, Clone)]
pub(crate) enum Needs {
    Nothing,
    Stream(StreamId),
    All,
}

#[derive(Default)]
struct State {
    waiting: IndexBatch,
    /// On its way into the index; still looked at until it is there.
    moving: Option<Arc<IndexBatch>>,
    /// The index did not take it.
    failed: bool,
    stopped: bool,
}

impl State {
    fn is_times(&self, factor: usize) -> bool {
        self.waiting.bytes() >= factor * ENOUGH_BYTES || self.waiting.appends() >= factor * ENOUGH_APPENDS
    }
}

/// Published appends in their order, by stream.
pub(crate) struct Backlog {
    keeper: Arc<Keeper>,
    state: Mutex<State>,
    changed: Condvar,
    /// Held by whoever brings something in.
    turn: Mutex<()>,
}

impl Backlog {
    pub(crate) fn new(keeper: Arc<Keeper>) -> Self {
        Self { keeper, state: Mutex::default(), changed: Condvar::new(), turn: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a group's appends, before they are published.
    pub(crate) fn add(&self, appends: &[Committed]) {
        let mut state = self.state();
        for Committed { append, record, went, head_before, head, .. } in appends {
            state.waiting.add(&IndexEntry {
                stream: &append.stream,
                went,
                record: &record[RECORD_AT..],
                before: head_before.map(|head| head.note),
                head: *head,
            });
            if let Some(dedup) = &append.dedup {
                state.waiting.add_dedup(dedup.key, DedupRecord::new(dedup, went));
            }
        }
        if state.is_times(1) {
            self.changed.notify_all();
        }
    }

    /// Waits while there is too much, unless the index takes nothing anyway.
    pub(crate) fn wait_for_room(&self, shared: &Shared) {
        let health = shared.gate.index();
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
    pub(crate) fn mended(&self) {
        self.state().failed = false;
    }

    /// Brings in what a reader needs.
    pub(crate) fn settle(&self, shared: &Shared, needs: &Needs) -> Result<(), ReadError> {
        match needs {
            Needs::Stream(stream) if self.head(stream).is_some() => self.settle_all(shared),
            Needs::Stream(_) | Needs::Nothing => Ok(()),
            Needs::All => self.settle_all(shared),
        }
    }

    /// Brings in all that is here. An index that fails is built again.
    pub(crate) fn settle_all(&self, shared: &Shared) -> Result<(), ReadError> {
        let settled = self.bring_in(shared);
        if let Err(error) = &settled
            && self.has_failed()
            && *shared.gate.index().borrow() == IndexHealth::Whole
        {
            tracing::error!(%error, "the index failed; it is built again from the journal");
            shared.gate.set_index(IndexHealth::Building);
            self.keeper.heal_now();
        }
        self.tell();
        settled
    }

    /// The same, and leaves an index that fails to the caller.
    pub(crate) fn bring_in(&self, shared: &Shared) -> Result<(), ReadError> {
        let brought = self.bring_in_silently(shared);
        self.tell();
        brought
    }

    /// Wakes who waits for room, or for something to do. They look at the index's health too, so the
    /// lock is taken for a moment: none of them is between its look and its sleep.
    fn tell(&self) {
        drop(self.state());
        self.changed.notify_all();
    }

    fn bring_in_silently(&self, shared: &Shared) -> Result<(), ReadError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Once for what an earlier try left, once for what is here now.
        for _ in 0..2 {
            let batch = {
                let mut state = self.state();
                if state.moving.is_none() && state.waiting.span().is_some() {
                    state.moving = Some(Arc::new(std::mem::take(&mut state.waiting)));
                }
                let Some(moving) = &state.moving else { return Ok(()) };
                moving.clone()
            };
            let index = shared.index()?;
            let held = index.held();
            let outcome = match batch.span() {
                Some((first, _)) if first == held.next() => {
                    index.apply(&batch, Behind::Nothing).map_err(ReadError::from)
                }
                // It was built again meanwhile, as far as the journal went then.
                Some((_, last)) if last > held => {
                    renew::fill(&index, &shared.options, &shared.segments, last).map(|_| ())
                }
                Some(_) | None => Ok(()),
            };
            let mut state = self.state();
            state.failed = outcome.is_err();
            outcome?;
            state.moving = None;
        }
        Ok(())
    }

    /// Ends [`Self::run`].
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    /// Brings in what is enough, until [`Self::stop`]. The thread's whole life.
    pub(crate) fn run(&self, shared: &Shared) {
        let mut state = self.state();
        while !state.stopped {
            if state.is_times(1) && *shared.gate.index().borrow() == IndexHealth::Whole {
                drop(state);
                // An error has been told to the keeper, who has the index built again.
                let _told = self.settle_all(shared);
                state = self.state();
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

//! Checks of starts: which slots a run that is about to start would get, and the reservation of the free ones.
//!
//! Law: of the starts with one key one at a time is on its way, from its check until the key knows of its run or the start
//! is given up; each of the others finds what that one left. So starts, retries and restarts that come at the same moment
//! are answered as if they had come one after the other.

use tokio::sync::oneshot;

use crate::streams::slots::allocator::SlotAllocator;
use crate::streams::slots::mailbox::{SlotCheck, SlotRequest, StartingRun};
use crate::streams::slots::waiting::{BlockedStart, ReservedSlots, is_identity};
use crate::streams::stream_writer::StreamError;
use everfold_base::envelope::StreamId;
use everfold_base::id::RunId;
use everfold_core::event::{SlotKind, WantedSlot};
use everfold_core::slots::{Availability, SlotInput, SlotState, StartDemand, available, in_order};
use everfold_language::words::OnTaken;

/// What a start finds of one slot.
enum SlotFound {
    /// It is reserved for the start: it is free, or comes free for it.
    Free,
    /// It is reserved for the start, which takes it over from this run.
    Inherited(RunId),
    /// The start may begin, and waits for this slot or shares one.
    Later,
    Refused(SlotCheck),
    /// Another start with the same key is on its way.
    Blocked,
}

impl SlotAllocator {
    /// Answers a start, and reserves what it finds free.
    pub(super) async fn check(
        &mut self,
        start: StartingRun,
        answer: oneshot::Sender<Result<SlotCheck, String>>,
    ) -> Result<(), StreamError> {
        // A key comes before the slots, so the runs that are replaced are known by then.
        let (mut reserved, mut leaving) = (Vec::new(), Vec::new());
        for (stream, slot) in in_order(&start.slots) {
            let found = match self.find(&start, &stream, &slot, &mut leaving).await {
                Ok(found) => found,
                Err(error) => {
                    let _gone = answer.send(Err(error.to_string()));
                    return Err(error);
                }
            };
            match found {
                SlotFound::Free => reserved.push((stream, None)),
                SlotFound::Inherited(origin) => reserved.push((stream, Some(origin))),
                SlotFound::Later => {}
                SlotFound::Refused(found) => {
                    let _gone = answer.send(Ok(found));
                    return Ok(());
                }
                SlotFound::Blocked => {
                    self.blocked.push(BlockedStart { start, answer });
                    return Ok(());
                }
            }
        }
        if answer.send(Ok(SlotCheck::Open)).is_ok() && !reserved.is_empty() {
            self.reserved.entry(start.run).or_default().extend(reserved);
        }
        Ok(())
    }

    async fn find(
        &mut self,
        start: &StartingRun,
        stream: &StreamId,
        slot: &WantedSlot,
        leaving: &mut Vec<RunId>,
    ) -> Result<SlotFound, StreamError> {
        let StartingRun { run, ref pipeline, ref ancestors, origin, .. } = *start;
        self.open(stream).await?;
        self.serve().await?;
        self.open(stream).await?;
        if is_identity(slot) && self.reserved_for(stream, run).next().is_some() {
            return Ok(SlotFound::Blocked);
        }
        let Some(key) = self.keys.get(stream) else { return Ok(SlotFound::Later) };
        if let Some(origin) = origin.filter(|_| !is_identity(slot))
            && key.state.living().any(|holder| holder == origin)
            && self.reserved_for(stream, run).all(|other| *other != Some(origin))
        {
            return Ok(SlotFound::Inherited(origin));
        }
        let reserved = self.reserved_beside(stream, &key.state, Some(run), None);
        let staying = key.state.living().filter(|run| !leaving.contains(run)).count();
        let mut in_force = self.pauses_in_force().await;
        let paused_scopes = in_force.len();
        // It begins when its own pauses are over: who waits for no other ones then is before it.
        in_force.retain(|scope| !scope.pauses(pipeline));
        let is_paused = in_force.len() < paused_scopes;
        let paused = self.paused_before(&key.state, staying + reserved, &in_force).await;
        let start = StartDemand { slot, ancestors, leaving, is_paused };
        let found = available(&key.state, &start, reserved, &paused);
        if matches!(slot.kind, SlotKind::Identity { on_taken: OnTaken::Replace, .. }) {
            leaving.extend(key.state.living().chain(key.state.queue()));
        }
        self.forget_idle(stream);
        Ok(match found {
            Availability::Free => SlotFound::Free,
            // The key of the run whose place it takes is its own.
            Availability::Held(holder) | Availability::Taken(holder) if Some(holder) == origin => {
                SlotFound::Inherited(holder)
            }
            Availability::Held(holder) => SlotFound::Refused(SlotCheck::Held(holder)),
            Availability::Taken(holder) => SlotFound::Refused(SlotCheck::Taken(slot.clone(), holder)),
            Availability::Full => SlotFound::Refused(SlotCheck::Full(slot.clone())),
            // It replaces the holder.
            Availability::Waits if is_identity(slot) => SlotFound::Free,
            Availability::Waits | Availability::Shared => SlotFound::Later,
        })
    }

    /// What is reserved of a key for other runs than this one: each time the run whose slot is taken over.
    fn reserved_for(&self, stream: &StreamId, but: RunId) -> impl Iterator<Item = &Option<RunId>> {
        let others = self.reserved.iter().filter(move |(run, _)| **run != but);
        others.filter_map(|(_, reserved)| reserved.get(stream))
    }

    /// How many slots of a key are reserved beside those that are held, one start left out; `ended`: a run that gives its
    /// slot back now.
    pub(super) fn reserved_beside(
        &self,
        stream: &StreamId,
        key: &SlotState,
        but: Option<RunId>,
        ended: Option<RunId>,
    ) -> usize {
        let is_held = |origin: RunId| Some(origin) != ended && key.holds(origin);
        let counts = |(run, reserved): &(&RunId, &ReservedSlots)| {
            Some(**run) != but && reserved.get(stream).is_some_and(|origin| !origin.is_some_and(is_held))
        };
        self.reserved.iter().filter(counts).count()
    }

    /// Gives back what is reserved for a run, and checks the blocked starts again. A key that fails delays no other.
    pub(super) async fn put_back(&mut self, run: RunId) -> Result<(), StreamError> {
        let reserved = self.reserved.remove(&run).unwrap_or_default();
        self.look_at_reserved(reserved.into_keys()).await
    }

    /// Gives back the keys that are reserved for a run, and keeps its slots reserved.
    pub(super) async fn put_back_keys(
        &mut self,
        run: RunId,
        slots: &[WantedSlot],
    ) -> Result<(), StreamError> {
        let keys = in_order(slots).into_iter().filter(|(_, slot)| is_identity(slot));
        let mut streams: Vec<StreamId> = keys.map(|(stream, _)| stream).collect();
        if let Some(reserved) = self.reserved.get_mut(&run) {
            streams.retain(|stream| reserved.remove(stream).is_some());
        }
        self.look_at_reserved(streams.into_iter()).await
    }

    async fn look_at_reserved(&mut self, streams: impl Iterator<Item = StreamId>) -> Result<(), StreamError> {
        let mut failed = None;
        for stream in streams {
            if let Err(error) = self.record(&stream, &SlotInput::Look, None).await {
                self.put_later(SlotRequest::Look(vec![stream], None));
                failed = Some(error);
            }
        }
        self.serve().await?;
        for BlockedStart { start, answer } in std::mem::take(&mut self.blocked) {
            if let Err(error) = self.check(start, answer).await {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

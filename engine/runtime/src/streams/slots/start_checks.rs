//! Checks of starts: which slots a run that is about to start would get, and the reservation of the free ones.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use crate::streams::slots::allocator::SlotAllocator;
use crate::streams::slots::mailbox::{SlotCheck, SlotRequest};
use crate::streams::slots::waiting::BlockedStart;
use crate::streams::stream_writer::StreamError;
use everfold_base::envelope::StreamId;
use everfold_base::id::RunId;
use everfold_core::event::{SlotKind, WantedSlot};
use everfold_core::slots::{Availability, SlotInput, available, in_order};
use everfold_language::words::OnTaken;

/// What a start finds of one slot.
enum SlotFound {
    /// A slot is free.
    Free,
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
        run: RunId,
        slots: Vec<WantedSlot>,
        ancestors: Vec<RunId>,
        answer: oneshot::Sender<Result<SlotCheck, String>>,
    ) -> Result<(), StreamError> {
        // A key comes before the slots, so the runs that are replaced are known by then.
        let (mut free, mut leaving) = (Vec::new(), Vec::new());
        for (stream, slot) in in_order(&slots) {
            let found = match self.find(run, &stream, &slot, &ancestors, &mut leaving).await {
                Ok(found) => found,
                Err(error) => {
                    let _gone = answer.send(Err(error.to_string()));
                    return Err(error);
                }
            };
            match found {
                SlotFound::Free => free.push(stream),
                SlotFound::Later => {}
                SlotFound::Refused(found) => {
                    let _gone = answer.send(Ok(found));
                    return Ok(());
                }
                SlotFound::Blocked => {
                    self.blocked.push(BlockedStart { run, slots, ancestors, answer });
                    return Ok(());
                }
            }
        }
        if answer.send(Ok(SlotCheck::Open)).is_ok() && !free.is_empty() {
            self.reserved.entry(run).or_default().extend(free);
        }
        Ok(())
    }

    async fn find(
        &mut self,
        run: RunId,
        stream: &StreamId,
        slot: &WantedSlot,
        ancestors: &[RunId],
        leaving: &mut Vec<RunId>,
    ) -> Result<SlotFound, StreamError> {
        self.open(stream).await?;
        self.serve().await?;
        self.open(stream).await?;
        let reserved = self.reserved_of(stream, Some(run));
        let Some(key) = self.keys.get(stream) else { return Ok(SlotFound::Later) };
        let staying = key.state.living().filter(|run| !leaving.contains(run)).count();
        let paused = self.paused_before(&key.state, staying + reserved).await;
        let found = available(&key.state, slot, reserved, ancestors, leaving, &paused);
        if matches!(slot.kind, SlotKind::Identity { on_taken: OnTaken::Replace, .. }) {
            leaving.extend(key.state.living().chain(key.state.queue()));
        }
        let is_unheld = key.state.is_free();
        self.forget_idle(stream);
        Ok(match found {
            Availability::Free => SlotFound::Free,
            Availability::Held(holder) => SlotFound::Refused(SlotCheck::Held(holder)),
            Availability::Taken(holder) => SlotFound::Refused(SlotCheck::Taken(slot.clone(), holder)),
            Availability::Full => SlotFound::Refused(SlotCheck::Full(slot.clone())),
            // Only another start is before this one: whether it begins decides.
            Availability::Waits if is_unheld && reserved > 0 && is_identity(slot) => SlotFound::Blocked,
            Availability::Waits | Availability::Shared => SlotFound::Later,
        })
    }

    /// How many starts have reserved a slot of the key, one start left out.
    pub(super) fn reserved_of(&self, stream: &StreamId, but: Option<RunId>) -> usize {
        let has =
            |(run, streams): &(&RunId, &BTreeSet<StreamId>)| Some(**run) != but && streams.contains(stream);
        self.reserved.iter().filter(has).count()
    }

    /// Gives back what is reserved for a run, and checks the blocked starts again. A key that fails delays no other.
    pub(super) async fn put_back(&mut self, run: RunId) -> Result<(), StreamError> {
        let mut failed = None;
        for stream in self.reserved.remove(&run).into_iter().flatten() {
            if let Err(error) = self.record(&stream, &SlotInput::Look, None).await {
                self.put_later(SlotRequest::Look(vec![stream], None));
                failed = Some(error);
            }
        }
        self.serve().await?;
        for BlockedStart { run, slots, ancestors, answer } in std::mem::take(&mut self.blocked) {
            if let Err(error) = self.check(run, slots, ancestors, answer).await {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

fn is_identity(slot: &WantedSlot) -> bool {
    matches!(slot.kind, SlotKind::Identity { .. })
}

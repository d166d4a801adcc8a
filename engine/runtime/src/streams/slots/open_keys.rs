//! Keys in memory: loaded when they are needed, compared with their runs then, forgotten when they are idle.
//!
//! Law: a key is used only after it was compared with its runs; one whose last append is in doubt is loaded anew.

use std::collections::BTreeSet;

use crate::streams::slots::allocator::{SlotAllocator, TRIES, reason_of};
use crate::streams::slots::grants::granted;
use crate::streams::slots::key_stream::KeyStream;
use crate::streams::stream_writer::StreamError;
use everfold_base::envelope::StreamId;
use everfold_base::id::{RunId, Version};
use everfold_core::event::RunEvent;
use everfold_core::slots::{ReleaseReason, SlotInput, SlotState};

impl SlotAllocator {
    /// Loads a key that is not loaded, and compares it with its runs: those that are over, or were never recorded,
    /// hold nothing. Notes the runs that were granted a slot by that.
    pub(super) async fn open(&mut self, stream: &StreamId) -> Result<(), StreamError> {
        let mut tries = 0;
        while !self.keys.contains_key(stream) {
            let mut key = KeyStream::load(&self.shared, stream).await?;
            let now: BTreeSet<RunId> = present(&key.state).collect();
            if let Some(before) = self.in_doubt.remove(stream) {
                // An append that succeeded without an acknowledgement granted slots, too.
                self.note_granted(now.iter().copied().filter(|run| !before.contains(run)));
            }
            match self.compare(&mut key).await {
                Ok(()) => drop(self.keys.insert(stream.clone(), key)),
                Err(StreamError::Changed) => {
                    self.in_doubt.insert(stream.clone(), now);
                    if tries >= TRIES {
                        return Err(StreamError::Changed);
                    }
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Forgets a key whose last append is in doubt, and remembers which runs held a slot before it.
    pub(super) fn doubt(&mut self, stream: &StreamId) {
        if let Some(key) = self.keys.remove(stream) {
            self.in_doubt.entry(stream.clone()).or_insert_with(|| present(&key.state).collect());
        }
    }

    /// Forgets a key that no run holds or waits for.
    pub(super) fn forget_idle(&mut self, stream: &StreamId) {
        if self.keys.get(stream).is_some_and(|key| !key.state.is_busy()) {
            self.keys.remove(stream);
        }
    }

    /// Takes a key's slots from runs that are over, or were never recorded; notes the runs that get them.
    async fn compare(&mut self, key: &mut KeyStream) -> Result<(), StreamError> {
        // Sharers first: where sharer and holder have both ended, the sharer must not inherit the slot.
        let known = key.state.sharers().chain(key.state.living()).chain(key.state.queue());
        for run in known.collect::<Vec<RunId>>() {
            if let Some(reason) = self.over(run).await? {
                let release = SlotInput::Release(run, reason);
                let reserved = self.reserved_beside(key.stream(), &key.state, None, Some(run));
                let paused = self.paused_runs(&key.state, &release, reserved).await;
                let events = key.record(&self.shared, &release, reserved, &paused).await?;
                self.note_granted(granted(&events));
            }
        }
        Ok(())
    }

    /// How a run ended, if it is over.
    pub(super) async fn over(&self, run: RunId) -> Result<Option<ReleaseReason>, StreamError> {
        let head = self.shared.store.head(&StreamId::run(run)).await;
        match head.map_err(|error| StreamError::store(&error))? {
            None => Ok(Some(ReleaseReason::NeverBegan)),
            Some(head) if head.note.open => Ok(None),
            Some(head) => match self.shared.loader().fold(run, None).await {
                Ok(folded) => Ok(reason_of(folded.state.status())),
                // Its end is reported only once.
                Err(error) if error.is_passing() => Err(StreamError::store(&error)),
                // A run that cannot be read cannot go on either; a repair reports its end, and an abandon has
                // reported it.
                Err(_unreadable) => self.last_event(run, head.version).await,
            },
        }
    }

    /// How a run ended whose history cannot be read, where its last event alone says so.
    async fn last_event(&self, run: RunId, version: Version) -> Result<Option<ReleaseReason>, StreamError> {
        let last = self.shared.store.read(&StreamId::run(run), version, 1).await;
        let last = last.map_err(|error| StreamError::store(&error))?;
        let name = last.first().and_then(|last| RunEvent::name_of(last.header.kind));
        Ok(match name {
            Some("RunSucceeded") => Some(ReleaseReason::Succeeded),
            Some("RunFailed") => Some(ReleaseReason::Failed),
            Some("RunCancelled") => Some(ReleaseReason::Cancelled),
            _not_the_end => None,
        })
    }
}

/// The runs that hold or share a slot.
fn present(state: &SlotState) -> impl Iterator<Item = RunId> + '_ {
    state.living().chain(state.sharers())
}

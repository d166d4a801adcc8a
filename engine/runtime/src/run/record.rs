//! From decided events to the batches that are appended.
//!
//! Law: a batch keeps to the store's limits; what did not become durable goes back into the queue in its order.

use crate::crash_point::is_behind;
use crate::messages::Queued;
use crate::run::append_batch::{AppendBatch, DecidedItem};
use crate::run::loaded_run::{Item, LoadedRun};
use crate::runtime::Runtime;
use crate::stream_end::{EventOrigin, StreamEnd};
use everfold_base::envelope::Cause;
use everfold_base::json::{BlobRef, JsonText};
use everfold_core::event;
use everfold_core::event::RunEvent;
use everfold_store::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, Append, StreamNote};

impl LoadedRun {
    /// Encodes and links the events of one input.
    pub(crate) fn record(
        &mut self,
        queued: Box<Queued>,
        at: everfold_base::time::Timestamp,
        events: Vec<RunEvent>,
        blobs: Vec<(BlobRef, JsonText)>,
        shared: &Runtime,
    ) -> Result<(), String> {
        let cause = Cause { input: queued.id, because: self.version };
        let (expected, previous) = (self.version, self.hash);
        let mut end = StreamEnd { version: expected, hash: previous };
        let origin = EventOrigin { stream: &self.stream, actor: &queued.actor, at, cause };
        let mut linked = Vec::with_capacity(events.len());
        let mut bytes = 0;
        let mut is_crash_point = false;
        for event in &events {
            let (schema, payload) = event::encode(event).map_err(|error| error.to_string())?;
            bytes += payload.len();
            is_crash_point |= is_behind(shared.config.crash_after.as_deref(), event.name());
            linked.push(end.link(&origin, (event.kind(), schema, payload)));
            (self.version, self.hash) = (end.version, end.hash);
        }
        let fits = self.batches.back().is_some_and(|batch| {
            batch.events.len() + linked.len() <= APPEND_EVENTS_MAX && batch.bytes + bytes <= APPEND_BYTES_MAX
        });
        if !fits {
            self.batches.push_back(AppendBatch {
                expected,
                previous,
                events: Vec::new(),
                bytes: 0,
                blobs: Vec::new(),
                dedup: queued.dedup,
                decided: Vec::new(),
                is_crash_point: false,
            });
        }
        let last = self.version.0;
        let batch = self.batches.back_mut().expect("pushed above where it did not fit");
        batch.events.extend(linked);
        batch.bytes += bytes;
        batch.blobs.extend(blobs);
        batch.is_crash_point |= is_crash_point;
        batch.decided.push(DecidedItem::Changed { queued, last });
        Ok(())
    }

    /// The append of the first batch, taken out of it, and the values to be durable before it.
    pub(crate) fn next_append(&mut self, shared: &Runtime) -> Option<(Append, Vec<(BlobRef, JsonText)>)> {
        let is_only = self.batches.len() == 1;
        let note = match &self.state {
            // The state is ahead of all but the last batch: a reader that finds such a note looks closer.
            Some(state) if is_only => {
                let note = state.note();
                StreamNote { open: note.open, busy: note.busy, wake_at: note.wake_at }
            }
            _ => StreamNote { open: true, busy: true, wake_at: None },
        };
        let stream = self.stream.clone();
        let batch = self.batches.front_mut()?;
        let append = Append {
            stream,
            expected: batch.expected,
            previous: batch.previous,
            events: std::mem::take(&mut batch.events),
            dedup: batch.dedup,
            fence: shared.config.fence,
            note,
        };
        Some((append, std::mem::take(&mut batch.blobs)))
    }

    /// Puts what was decided but did not become durable back to where it came from.
    pub(crate) fn requeue(&mut self) {
        let decided: Vec<DecidedItem> = self.batches.drain(..).flat_map(|batch| batch.decided).collect();
        for decided in decided.into_iter().rev() {
            self.queue.push_front(match decided {
                DecidedItem::Changed { queued, .. }
                | DecidedItem::Unchanged(queued)
                | DecidedItem::Refused(queued, _) => Item::Input(queued),
                DecidedItem::Query(query) => Item::Query(query),
            });
        }
        self.state = None;
    }
}

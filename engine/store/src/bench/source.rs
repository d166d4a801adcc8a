//! Appends of synthetic events to one stream.

use crate::append::Append;
use crate::stream_head::StreamNote;
use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, EventHeader, NewEvent, StreamId, StreamKind};
use everfold_base::id::{InputId, Version};
use everfold_base::json::Hash;
use everfold_system::clock;

/// Makes appends to one stream.
pub struct Source {
    stream: StreamId,
    version: Version,
    hash: Hash,
    payload: Vec<u8>,
    pub(super) appends: u64,
}

impl Source {
    /// A new stream.
    #[must_use]
    pub fn new(payload_bytes: usize) -> Self {
        let id = uuid::Uuid::from_u128(clock::draw_u128()).to_string();
        Self {
            stream: StreamId { kind: StreamKind::Run, id: id.into() },
            version: Version::ZERO,
            hash: Hash::ZERO,
            payload: vec![7; payload_bytes],
            appends: 0,
        }
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The next append of so many events.
    pub fn next(&mut self, events: usize) -> Append {
        let (expected, previous) = (self.version, self.hash);
        let recorded_at = clock::now();
        let events = (0..events)
            .map(|_| {
                self.version = self.version.next();
                let header = EventHeader {
                    stream: self.stream.clone(),
                    version: self.version,
                    recorded_at,
                    actor: Actor::Engine,
                    cause: Cause { input: InputId([7; 16]), because: expected },
                    kind: 7,
                    schema: 1,
                    flags: 0,
                    payload_hash: Hash::ZERO,
                };
                let event = NewEvent::link(header, self.payload.clone(), &self.hash);
                self.hash = event.hash;
                event
            })
            .collect();
        self.appends += 1;
        let note = StreamNote { open: true, busy: true, wake_at: None };
        let stream = self.stream.clone();
        Append { stream, expected, previous, events, dedup: None, fence: None, note }
    }
}

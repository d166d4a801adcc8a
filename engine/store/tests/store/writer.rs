//! A writer of synthetic events, which follows the history of its stream.

use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, EventHeader, NewEvent, StreamId, StreamKind};
use everfold_base::id::{InputId, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_store::{Append, StreamHead, StreamNote};

/// Builds appends to one stream, following its history.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) stream: StreamId,
    pub(crate) version: Version,
    pub(crate) hash: Hash,
}

impl Writer {
    pub(crate) fn new(id: &str) -> Self {
        Self { stream: StreamId::engine(id), version: Version::ZERO, hash: Hash::ZERO }
    }

    /// A writer of a run's stream.
    pub(crate) fn run(id: &str) -> Self {
        Self { stream: StreamId { kind: StreamKind::Run, id: id.into() }, ..Self::new(id) }
    }

    pub(crate) fn at(stream: &StreamId, head: Option<StreamHead>) -> Self {
        let (version, hash) = head.map_or((Version::ZERO, Hash::ZERO), |head| (head.version, head.hash));
        Self { stream: stream.clone(), version, hash }
    }

    /// An append of payloads; the writer moves on as if it were recorded.
    pub(crate) fn append(&mut self, payloads: &[&[u8]]) -> Append {
        let (expected, previous) = (self.version, self.hash);
        let mut events = Vec::new();
        for payload in payloads {
            self.version = self.version.next();
            let header = EventHeader {
                stream: self.stream.clone(),
                version: self.version,
                recorded_at: Timestamp(1_000),
                actor: Actor::User("ada".into()),
                cause: Cause { input: InputId::derive("input"), because: expected },
                kind: 7,
                schema: 1,
                flags: 0,
                payload_hash: Hash::ZERO,
            };
            let event = NewEvent::link(header, payload.to_vec(), &self.hash);
            self.hash = event.hash;
            events.push(event);
        }
        let note = StreamNote { open: true, busy: false, wake_at: None };
        let stream = self.stream.clone();
        Append { stream, expected, previous, events, dedup: None, fence: None, note }
    }
}

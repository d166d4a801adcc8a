//! The end of a stream, and events that are linked behind it.
//!
//! Law: nothing is decided here. An event gets the number and the hash that follow the end, so the same events at the
//! same end have the same hashes.

use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, Envelope, EventHeader, NewEvent, StreamId};
use everfold_base::id::{InputId, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// Kind, schema and bytes of an event.
pub(crate) type EncodedEvent = (u16, u16, Vec<u8>);

/// The last event of a stream: its version and hash. Zeros: the stream has none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StreamEnd {
    pub(crate) version: Version,
    pub(crate) hash: Hash,
}

/// What the events of one input have in common.
pub(crate) struct EventOrigin<'a> {
    pub(crate) stream: &'a StreamId,
    pub(crate) actor: &'a Actor,
    pub(crate) at: Timestamp,
    pub(crate) cause: Cause,
}

impl StreamEnd {
    /// The end of a stream whose last event this is.
    pub(crate) fn of(last: &Envelope) -> Self {
        Self { version: last.header.version, hash: last.hash }
    }

    /// The cause of events that follow from no input with an id of its own: the id derives from the end.
    pub(crate) fn cause(self, stream: &StreamId) -> Cause {
        let version = self.version;
        Cause { input: InputId::derive(&format!("{stream}/{version}")), because: version }
    }

    /// Links an event behind the end, and moves the end to it.
    pub(crate) fn link(&mut self, origin: &EventOrigin<'_>, event: EncodedEvent) -> NewEvent {
        let (kind, schema, payload) = event;
        let header = EventHeader {
            stream: origin.stream.clone(),
            version: self.version.next(),
            recorded_at: origin.at,
            actor: origin.actor.clone(),
            cause: origin.cause,
            kind,
            schema,
            flags: 0,
            payload_hash: Hash::ZERO,
        };
        let event = NewEvent::link(header, payload, &self.hash);
        *self = Self { version: event.header.version, hash: event.hash };
        event
    }
}

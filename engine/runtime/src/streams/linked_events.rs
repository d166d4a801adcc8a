//! Events of one stream, linked behind its end: what every actor that keeps a stream appends.
//!
//! Law: nothing is decided here. The events get the numbers and hashes that follow the end; the input that they are
//! recorded for is derived from that end, so the same events at the same end have the same hashes.

use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, EventHeader, NewEvent, StreamId};
use everfold_base::id::{InputId, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// Kind, schema and bytes of an event.
pub(crate) type EncodedEvent = (u16, u16, Vec<u8>);

/// Links events behind the end of a stream: its last version and that event's hash.
pub(crate) fn linked_events(
    stream: &StreamId,
    (end, mut hash): (Version, Hash),
    (actor, at): (&Actor, Timestamp),
    events: Vec<EncodedEvent>,
) -> Vec<NewEvent> {
    let cause = Cause { input: InputId::derive(&format!("{stream}/{end}")), because: end };
    let mut version = end;
    let mut link = |(kind, schema, payload): EncodedEvent| {
        version = version.next();
        let header = EventHeader {
            stream: stream.clone(),
            version,
            recorded_at: at,
            actor: actor.clone(),
            cause,
            kind,
            schema,
            flags: 0,
            payload_hash: Hash::ZERO,
        };
        let event = NewEvent::link(header, payload, &hash);
        hash = event.hash;
        event
    };
    events.into_iter().map(&mut link).collect()
}

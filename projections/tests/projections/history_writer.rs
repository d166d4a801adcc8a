//! Writes synthetic histories of runs into a log.

use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, EventHeader, NewEvent, StreamId, flag};
use everfold_base::id::{InputId, RunId, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_core::event::{RunEvent, encode};
use everfold_store::{Append, EventStore, StreamNote};

/// Appends a run's whole history, all of it at one instant. What stands before a fork is copied.
pub async fn write(store: &dyn EventStore, run: RunId, at: Timestamp, history: &[RunEvent]) {
    let fork = history.iter().position(|event| matches!(event, RunEvent::RunForked(_))).unwrap_or(0) as u64;
    let stream = StreamId::run(run);
    let mut previous = Hash::ZERO;
    let link = |(event, version): (&RunEvent, u64)| {
        let (schema, payload) = encode(event).unwrap();
        let header = EventHeader {
            stream: stream.clone(),
            version: Version(version),
            recorded_at: at,
            actor: Actor::Engine,
            cause: Cause { input: InputId::default(), because: Version(0) },
            kind: event.kind(),
            schema,
            flags: if version <= fork { flag::COPIED } else { 0 },
            payload_hash: Hash::ZERO,
        };
        let event = NewEvent::link(header, payload, &previous);
        previous = event.hash;
        event
    };
    let events = history.iter().zip(1..).map(link).collect();
    let append = Append {
        stream: stream.clone(),
        expected: Version(0),
        previous: Hash::ZERO,
        events,
        dedup: None,
        fence: None,
        note: StreamNote::default(),
    };
    store.append(append).await.unwrap();
}

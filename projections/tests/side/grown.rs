//! Runs that are just events.

use std::sync::Arc;

use everfold_engine::actor::Actor;
use everfold_engine::envelope::{Cause, EventHeader, NewEvent, StreamId};
use everfold_engine::event::{NoteAdded, RunEvent, RunStarted, RunSucceeded, encode};
use everfold_engine::id::{InputId, RunId, Version};
use everfold_engine::json::{Hash, JsonText, Payload};
use everfold_engine::store::{Append, EventStore, StreamNote};
use everfold_engine::time::Timestamp;

/// The run of a number.
pub fn run(number: u64) -> RunId {
    format!("0198c1f0-0000-7000-8000-{number:012x}").parse().unwrap()
}

/// Appends a start and a note of so many runs; every third one ends instead.
pub async fn grow(store: &Arc<dyn EventStore>, runs: std::ops::Range<u64>) {
    for number in runs {
        let started = RunEvent::from(RunStarted {
            run: run(number),
            pipeline: "p".into(),
            definition: Hash::ZERO,
            input: Payload::Inline(JsonText::null()),
            title: Some(format!("Run {number}")),
            labels: Default::default(),
            cwd: None,
            entropy: 0,
            config: None,
            parent: None,
            priority: 0,
            admission: Vec::new(),
        });
        let then: RunEvent = match number % 3 {
            0 => RunSucceeded { output: Payload::Inline(JsonText::null()) }.into(),
            _ => NoteAdded { text: "x".into() }.into(),
        };
        let mut previous = Hash::ZERO;
        let mut events = Vec::new();
        for (event, version) in [started, then].iter().zip(1..) {
            let (schema, payload) = encode(event).unwrap();
            let header = EventHeader {
                stream: StreamId::run(run(number)),
                version: Version(version),
                recorded_at: Timestamp(1_000),
                actor: Actor::Engine,
                cause: Cause { input: InputId::default(), because: Version(0) },
                kind: event.kind(),
                schema,
                flags: 0,
                payload_hash: Hash::ZERO,
            };
            let event = NewEvent::link(header, payload, &previous);
            previous = event.hash;
            events.push(event);
        }
        let append = Append {
            stream: StreamId::run(run(number)),
            expected: Version(0),
            previous: Hash::ZERO,
            events,
            dedup: None,
            fence: None,
            note: StreamNote::default(),
        };
        store.append(append).await.unwrap();
    }
}

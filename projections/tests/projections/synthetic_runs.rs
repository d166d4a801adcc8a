//! Synthetic runs: a start and one more event, written without an engine.

use std::sync::Arc;

use everfold_base::id::{RunId, Version};
use everfold_base::json::{Hash, JsonText, Payload};
use everfold_base::time::Timestamp;
use everfold_core::event::{NoteAdded, Origin, OriginKind, RunEvent, RunForked, RunStarted, RunSucceeded};
use everfold_store::EventStore;

use crate::history_writer::write;

/// The run of a number.
pub fn run(number: u64) -> RunId {
    format!("0198c1f0-0000-7000-8000-{number:012x}").parse().unwrap()
}

fn null() -> Payload {
    Payload::Inline(JsonText::null())
}

fn started(number: u64) -> RunEvent {
    let event = RunStarted {
        run: run(number),
        pipeline: "p".into(),
        definition: Hash::ZERO,
        input: null(),
        title: Some(format!("Run {number}")),
        labels: Default::default(),
        cwd: None,
        entropy: 0,
        config: None,
        parent: None,
        priority: 0,
        admission: Vec::new(),
        number: None,
        top: None,
        initiator: None,
    };
    event.into()
}

/// Appends a run that goes on from another one's start.
pub async fn fork(store: &Arc<dyn EventStore>, origin: u64, number: u64) {
    let forked = RunForked {
        run: run(number),
        origin: Origin { run: run(origin), version: Version(1), how: OriginKind::Fork },
        definition: Hash::ZERO,
        input: null(),
        config: None,
        from_step: None,
        reset: Vec::new(),
        title: None,
        entropy: 0,
        until_step: None,
        initiator: None,
        effects: None,
        keeps_tries: false,
        keeps_spans: false,
        continued_at: None,
        keeps_items: Vec::new(),
    };
    let history = [started(origin), forked.into()];
    write(store.as_ref(), run(number), Timestamp(2_000), &history).await;
}

/// Appends a start and a note of so many runs; every third one ends instead.
pub async fn grow(store: &Arc<dyn EventStore>, runs: std::ops::Range<u64>) {
    for number in runs {
        let started = started(number);
        let then: RunEvent = match number % 3 {
            0 => RunSucceeded { output: null() }.into(),
            _ => NoteAdded { text: "x".into() }.into(),
        };
        write(store.as_ref(), run(number), Timestamp(1_000), &[started, then]).await;
    }
}

//! Runs that are just events.

use std::sync::Arc;

use everfold_engine::event::{NoteAdded, RunEvent, RunStarted, RunSucceeded};
use everfold_engine::id::RunId;
use everfold_engine::json::{Hash, JsonText, Payload};
use everfold_engine::store::EventStore;
use everfold_engine::time::Timestamp;

use crate::written::write;

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
        write(store.as_ref(), run(number), Timestamp(1_000), &[started, then]).await;
    }
}

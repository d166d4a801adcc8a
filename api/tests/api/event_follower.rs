//! What follows the log beside the engine, where the log cannot be read for a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use everfold_api::metrics::{Metrics, MetricsSnapshot, follow};
use everfold_engine::actor::Actor;
use everfold_engine::envelope::{Cause, EventHeader, NewEvent, StreamId};
use everfold_engine::event::{NoteAdded, RunEvent, encode};
use everfold_engine::id::{InputId, RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::store::{Append, EventStore, MemoryStore, ReadError, StreamNote};
use everfold_engine::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::fixtures::failing_log::FailingLog;

async fn note(store: &dyn EventStore, number: u128) {
    let stream = StreamId::run(format!("0198c1f0-0000-7000-8000-{number:012x}").parse::<RunId>().unwrap());
    let event: RunEvent = NoteAdded { text: "x".into() }.into();
    let (schema, payload) = encode(&event).unwrap();
    let header = EventHeader {
        stream: stream.clone(),
        version: Version::FIRST,
        recorded_at: Timestamp(0),
        actor: Actor::Engine,
        cause: Cause { input: InputId::derive("n"), because: Version::ZERO },
        kind: event.kind(),
        schema,
        flags: 0,
        payload_hash: Hash::ZERO,
    };
    let append = Append {
        stream,
        expected: Version::ZERO,
        previous: Hash::ZERO,
        events: vec![NewEvent::link(header, payload, &Hash::ZERO)],
        dedup: None,
        fence: None,
        note: StreamNote::default(),
    };
    store.append(append).await.unwrap();
}

/// Once metrics, traces and notices stopped until the next start.
#[tokio::test(start_paused = true)]
async fn events_go_on_to_be_counted_each_once() {
    let to_fail = Arc::new(AtomicUsize::new(0));
    let why = || ReadError::Index("it went away".into());
    let store: Arc<dyn EventStore> =
        Arc::new(FailingLog { inner: MemoryStore::default(), to_fail: Arc::clone(&to_fail), why });
    let (metrics, closing) = (Arc::new(Metrics::default()), CancellationToken::new());
    let following = tokio::spawn(follow(Arc::clone(&store), Arc::clone(&metrics), closing.clone()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    note(store.as_ref(), 1).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    to_fail.store(2, Ordering::SeqCst);
    note(store.as_ref(), 2).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    note(store.as_ref(), 3).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(to_fail.load(Ordering::SeqCst), 0, "it failed meanwhile");
    let text = metrics.text(&MetricsSnapshot::default()).unwrap();
    let counted = "everfold_events_total{type=\"NoteAdded\"} 3";
    assert!(text.contains(counted), "{text}");
    closing.cancel();
    following.await.unwrap();
}

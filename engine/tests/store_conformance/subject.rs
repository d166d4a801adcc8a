//! The stores under test, and events to put into them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use everfold_engine::actor::Actor;
use everfold_engine::clock::Clock;
use everfold_engine::envelope::{Cause, EventHeader, NewEvent, StreamId};
use everfold_engine::id::{InputId, Version};
use everfold_engine::json::Hash;
use everfold_engine::store::{Append, EventStore, Head, MemoryStore, SledOptions, SledStore, StreamNote};
use everfold_engine::time::Timestamp;
use tempfile::TempDir;

/// A store that can be closed and opened again, with a clock that the test turns.
pub(crate) struct Subject {
    kind: Kind,
    pub(crate) millis: Arc<AtomicI64>,
}

enum Kind {
    Memory(Option<MemoryStore>),
    Sled(TempDir),
}

impl Subject {
    pub(crate) fn memory() -> Self {
        Self { kind: Kind::Memory(None), millis: Arc::new(AtomicI64::new(1_000_000)) }
    }

    pub(crate) fn sled() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { kind: Kind::Sled(folder), millis: Arc::new(AtomicI64::new(1_000_000)) }
    }

    fn clock(&self) -> Clock {
        let millis = self.millis.clone();
        Arc::new(move || Timestamp(millis.load(Ordering::Relaxed)))
    }

    /// Opens the store; the one that was open before has been closed or dropped.
    pub(crate) fn open(&mut self) -> Arc<dyn EventStore> {
        let clock = self.clock();
        match &mut self.kind {
            Kind::Memory(kept) => {
                let base = kept.get_or_insert_with(|| MemoryStore::new(clock));
                Arc::new(base.reopen())
            }
            Kind::Sled(folder) => {
                let options = SledOptions { clock, ..SledOptions::default() };
                Arc::new(SledStore::open(folder.path(), options).unwrap())
            }
        }
    }
}

type Law = for<'a> fn(&'a mut Subject) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

pub(crate) fn run(mut subject: Subject, law: Law) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(law(&mut subject));
}

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

    pub(crate) fn at(stream: &StreamId, head: Option<Head>) -> Self {
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

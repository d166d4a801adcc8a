//! A store that is watched, slowed down and made to fail.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_engine::envelope::{StreamId, StreamKind};
use everfold_engine::id::Version;
use everfold_engine::store::{
    Append, AppendError, Appended, EventStore as _, MemoryStore, ReadError, Writability,
};
use futures::future::BoxFuture;
use tokio::sync::watch;

pub use super::over::Fault;
use super::over::{Asked, Between, Over, strike};

pub struct Watched {
    pub inner: MemoryStore,
    pub delay_ms: AtomicU64,
    pub appends: AtomicUsize,
    pub reads: AtomicUsize,
    /// How long a read takes.
    pub read_delay_ms: AtomicU64,
    /// So many reads fail.
    pub reads_to_fail: AtomicUsize,
    /// So many looks at something else than events fail.
    pub looks_to_fail: AtomicUsize,
    /// What appends to runs' streams are made to do.
    pub faults: Mutex<VecDeque<Fault>>,
    /// What the next append to the stream of pauses is made to do.
    halt_fault: Mutex<Option<Fault>>,
    /// What the next append to a key's stream is made to do.
    key_fault: Mutex<Option<Fault>>,
    /// Appends to counters of budgets never come to an end.
    pub counters_stand: AtomicBool,
    pub writability: watch::Sender<Writability>,
    /// The index cannot be mended for want of room.
    pub is_unreadable: AtomicBool,
}

impl Watched {
    pub fn over(inner: MemoryStore) -> Arc<Over<Self>> {
        Over::new(Self {
            inner,
            delay_ms: AtomicU64::new(0),
            appends: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            read_delay_ms: AtomicU64::new(0),
            reads_to_fail: AtomicUsize::new(0),
            looks_to_fail: AtomicUsize::new(0),
            faults: Mutex::default(),
            halt_fault: Mutex::default(),
            key_fault: Mutex::default(),
            counters_stand: AtomicBool::new(false),
            writability: watch::Sender::new(Writability::Writable),
            is_unreadable: AtomicBool::new(false),
        })
    }

    pub fn appends(&self) -> usize {
        self.appends.load(Ordering::SeqCst)
    }

    /// A disk so full that not even the index can be read, or no more.
    pub fn set_full(&self, is_full: bool) {
        self.is_unreadable.store(is_full, Ordering::SeqCst);
        self.writability.send_replace(if is_full { Writability::Full } else { Writability::Writable });
    }

    pub fn fail_halt(&self, fault: Fault) {
        *self.halt_fault.lock().unwrap() = Some(fault);
    }

    pub fn fail_key(&self, fault: Fault) {
        *self.key_fault.lock().unwrap() = Some(fault);
    }

    pub fn fail_next(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    fn next_fault(&self, stream: &StreamId) -> Option<Fault> {
        match stream.kind {
            StreamKind::Run => self.faults.lock().unwrap().pop_front(),
            StreamKind::Key => self.key_fault.lock().unwrap().take(),
            _ if *stream == StreamId::engine("halts") => self.halt_fault.lock().unwrap().take(),
            _other => None,
        }
    }
}

impl Between for Watched {
    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            if append.stream.kind == StreamKind::Budget && self.counters_stand.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if append.stream.kind == StreamKind::Run {
                self.appends.fetch_add(1, Ordering::SeqCst);
                match self.delay_ms.load(Ordering::SeqCst) {
                    0 => {}
                    ms => tokio::time::sleep(Duration::from_millis(ms)).await,
                }
            }
            let fault = self.next_fault(&append.stream);
            let keep = self.inner.append(append);
            match fault {
                None => keep.await,
                Some(fault) => strike(fault, keep).await,
            }
        })
    }

    fn read(&self, asked: Asked, _from: Version) -> BoxFuture<'_, Result<(), ReadError>> {
        let less = |left: usize| left.checked_sub(1);
        if asked == Asked::Other {
            let fails = self.looks_to_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
            let away = || ReadError::Index("it went away".into());
            return Box::pin(ready(if fails { Err(away()) } else { Ok(()) }));
        }
        self.reads.fetch_add(1, Ordering::SeqCst);
        let fails = self.reads_to_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
        let result = match (self.is_unreadable.load(Ordering::SeqCst), fails) {
            (true, _) => Err(ReadError::Full),
            (_, true) => Err(ReadError::Index("it went away".into())),
            _readable => Ok(()),
        };
        match self.read_delay_ms.load(Ordering::SeqCst) {
            0 => Box::pin(ready(result)),
            ms => Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                result
            }),
        }
    }

    fn writability(&self) -> watch::Receiver<Writability> {
        self.writability.subscribe()
    }

    fn two_in_flight(&self, stream: &StreamId) {
        panic!("D2: two appends of {stream} in flight");
    }
}

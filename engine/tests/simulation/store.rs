//! A store whose appends are late, fail, are kept without a word, or are the last thing an engine does.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_engine::envelope::{Envelope, StreamId, StreamKind};
use everfold_engine::id::{Position, Version};
use everfold_engine::json::Hash;
use everfold_engine::store::{
    Append, AppendError, Appended, EventStore, FirstWrite, Head, MemoryStore, ReadError, Snapshot,
    Subscription, Writability,
};
use everfold_engine::time::Timestamp;
use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};

use super::ledger::Ledger;
use super::machine::Luck;
use super::plan::{Fault, FaultKind};

/// What outlives engines: which append this is, and what is to happen to it.
pub struct Fate {
    faults: Mutex<BTreeMap<u64, FaultKind>>,
    appends: AtomicU64,
    seed: u64,
    calm: AtomicBool,
}

impl Fate {
    pub fn new(faults: &[Fault], seed: u64) -> Arc<Self> {
        let mut at = 0;
        let faults = faults.iter().map(|fault| {
            at += 1 + u64::from(fault.after);
            (at, fault.kind)
        });
        let faults = Mutex::new(faults.collect());
        Arc::new(Self { faults, appends: AtomicU64::new(0), seed, calm: AtomicBool::new(false) })
    }

    pub fn be_calm(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    fn next(&self) -> (u64, Option<FaultKind>) {
        let at = self.appends.fetch_add(1, Ordering::SeqCst) + 1;
        let fault = self.faults.lock().unwrap().remove(&at);
        (at, fault.filter(|_| !self.calm.load(Ordering::SeqCst)))
    }
}

/// The store as one engine has it.
pub struct Faulty {
    pub inner: Arc<MemoryStore>,
    fate: Arc<Fate>,
    ledger: Arc<Ledger>,
    in_flight: Mutex<BTreeMap<StreamId, usize>>,
    writability: Arc<watch::Sender<Writability>>,
    /// The engine's process is dead: nothing that it still does is done.
    dead: AtomicBool,
    /// The moment has come.
    pub dies: Notify,
}

impl Faulty {
    pub fn new(inner: Arc<MemoryStore>, fate: Arc<Fate>, ledger: Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            fate,
            ledger,
            in_flight: Mutex::default(),
            writability: Arc::new(watch::Sender::new(Writability::Writable)),
            dead: AtomicBool::new(false),
            dies: Notify::new(),
        })
    }

    /// The engine's process ends.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    async fn keep(&self, append: Append) -> Result<Appended, AppendError> {
        if self.dead.load(Ordering::SeqCst) {
            return pending().await;
        }
        let (stream, events) = (append.stream.clone(), append.events.clone());
        let appended = self.inner.append(append).await?;
        if !appended.repeated {
            self.ledger.appended(&stream, &events);
        }
        Ok(appended)
    }

    async fn die(&self) -> ! {
        self.kill();
        self.dies.notify_one();
        pending().await
    }

    async fn with_fate(&self, append: Append) -> Result<Appended, AppendError> {
        let (at, fault) = self.fate.next();
        let mut luck = Luck::of(self.fate.seed, &format!("append {at}"));
        match luck.below(4) {
            0 => {}
            1 => tokio::task::yield_now().await,
            _ => tokio::time::sleep(Duration::from_millis(luck.below(4))).await,
        }
        match fault {
            None => self.keep(append).await,
            Some(FaultKind::Slow) => {
                tokio::time::sleep(Duration::from_millis(200 + luck.below(9_000))).await;
                self.keep(append).await
            }
            Some(FaultKind::Kept) => {
                self.keep(append).await?;
                Err(AppendError::Unknown("the acknowledgement was lost".into()))
            }
            Some(FaultKind::Dropped) => Err(AppendError::Unknown("the disk went away".into())),
            Some(FaultKind::Full) => {
                self.writability.send_replace(Writability::Full);
                let writability = Arc::clone(&self.writability);
                let span = Duration::from_millis(luck.below(20_000));
                tokio::spawn(async move {
                    tokio::time::sleep(span).await;
                    writability.send_replace(Writability::Writable);
                });
                Err(AppendError::Full)
            }
            Some(FaultKind::DiesBefore) => self.die().await,
            Some(FaultKind::DiesAfter) => {
                // What is refused was not kept, and is no moment to die at.
                self.keep(append).await?;
                self.die().await
            }
        }
    }
}

impl EventStore for Faulty {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let stream = append.stream.clone();
            if stream.kind == StreamKind::Run {
                let mut in_flight = self.in_flight.lock().unwrap();
                let count = in_flight.entry(stream.clone()).or_default();
                *count += 1;
                if *count > 1 {
                    self.ledger.report(format!("D2: two appends of {stream} in flight"));
                }
            }
            let result = self.with_fate(append).await;
            self.in_flight.lock().unwrap().remove(&stream);
            result
        })
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        from: Version,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Envelope>, ReadError>> {
        Box::pin(async move {
            if from.0 % 3 == 1 {
                tokio::task::yield_now().await;
            }
            self.inner.read(stream, from, limit).await
        })
    }

    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        self.inner.read_all(from, limit)
    }

    fn head<'a>(&'a self, stream: &'a StreamId) -> BoxFuture<'a, Result<Option<Head>, ReadError>> {
        self.inner.head(stream)
    }

    fn first_write(&self, key: Hash) -> BoxFuture<'_, Result<Option<FirstWrite>, ReadError>> {
        self.inner.first_write(key)
    }

    fn streams(
        &self,
        kind: StreamKind,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, Head)>, ReadError>> {
        self.inner.streams(kind, after, limit)
    }

    fn due(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<StreamId>, ReadError>> {
        self.inner.due(until)
    }

    fn next_wake(&self) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        self.inner.next_wake()
    }

    fn last_position(&self) -> Position {
        self.inner.last_position()
    }

    fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        self.inner.subscribe(from)
    }

    fn save_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        self.inner.save_snapshot(stream, snapshot)
    }

    fn load_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fold_version: u32,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, ReadError>> {
        self.inner.load_snapshot(stream, fold_version)
    }

    fn writability(&self) -> watch::Receiver<Writability> {
        self.writability.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), AppendError>> {
        self.inner.close()
    }
}

//! A store whose appends are late, fail, are kept without a word, or are the last thing an engine does,
//! and which cannot always be read.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_engine::envelope::StreamId;
use everfold_engine::id::Version;
use everfold_engine::store::{
    Append, AppendError, Appended, EventStore as _, MemoryStore, ReadError, Writability,
};
use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::fault_store::{Asked, Between, Fault as Strike, Over, strike};
use super::livelock::LivelockGuard;
use super::luck::Luck;
use super::plan::{Fault, FaultKind, ReadFault, ReadFaultKind};
use super::side_effects::SideEffects;

/// What outlives engines: which append and which read this is, and what is to happen to it.
pub struct Fate {
    faults: Mutex<BTreeMap<u64, FaultKind>>,
    appends: AtomicU64,
    read_faults: Mutex<BTreeMap<u64, ReadFaultKind>>,
    reads: AtomicU64,
    /// Until then nothing can be read; whether for want of room.
    unreadable: Mutex<Option<(Instant, bool)>>,
    failed: AtomicU64,
    seed: u64,
    calm: AtomicBool,
    /// What is asked beyond any bound is never answered.
    pub livelock: LivelockGuard,
}

impl Fate {
    pub fn new(faults: &[Fault], reads: &[ReadFault], seed: u64) -> Arc<Self> {
        let (mut append, mut read) = (0, 0);
        let faults = faults.iter().map(|fault| {
            append += 1 + u64::from(fault.after);
            (append, fault.kind)
        });
        let read_faults = reads.iter().map(|fault| {
            read += 1 + u64::from(fault.after);
            (read, fault.kind)
        });
        Arc::new(Self {
            faults: Mutex::new(faults.collect()),
            appends: AtomicU64::new(0),
            read_faults: Mutex::new(read_faults.collect()),
            reads: AtomicU64::new(0),
            unreadable: Mutex::default(),
            failed: AtomicU64::new(0),
            seed,
            calm: AtomicBool::new(false),
            livelock: LivelockGuard::default(),
        })
    }

    pub fn be_calm(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    /// How many reads failed.
    pub fn failed_reads(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }

    fn next(&self) -> (u64, Option<FaultKind>) {
        let at = self.appends.fetch_add(1, Ordering::SeqCst) + 1;
        let fault = self.faults.lock().unwrap().remove(&at);
        (at, fault.filter(|_| !self.is_calm()))
    }

    fn next_read(&self) -> (u64, Option<ReadFaultKind>) {
        let at = self.reads.fetch_add(1, Ordering::SeqCst) + 1;
        let fault = self.read_faults.lock().unwrap().remove(&at);
        (at, fault.filter(|_| !self.is_calm()))
    }

    /// Why nothing can be read at this moment.
    fn unreadable(&self) -> Option<ReadError> {
        let (until, is_full) = (*self.unreadable.lock().unwrap())?;
        let lasts = !self.is_calm() && Instant::now() < until;
        lasts.then(|| if is_full { ReadError::Full } else { away() })
    }
}

fn away() -> ReadError {
    ReadError::Index("the disk went away".into())
}

/// The store as one engine has it.
pub struct FaultyStore {
    pub inner: Arc<MemoryStore>,
    fate: Arc<Fate>,
    side_effects: Arc<SideEffects>,
    writability: Arc<watch::Sender<Writability>>,
    /// The engine's process is dead: nothing that it still does is done.
    dead: AtomicBool,
    /// The moment has come.
    pub dies: Notify,
}

impl FaultyStore {
    pub fn over(inner: Arc<MemoryStore>, fate: Arc<Fate>, side_effects: Arc<SideEffects>) -> Arc<Over<Self>> {
        Over::new(Self {
            inner,
            fate,
            side_effects,
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
            self.side_effects.appended(&stream, &events);
        }
        Ok(appended)
    }

    async fn die(&self) -> ! {
        self.kill();
        self.dies.notify_one();
        pending().await
    }

    /// There is no room for so long.
    fn fill(&self, span: Duration) {
        self.writability.send_replace(Writability::Full);
        let writability = Arc::clone(&self.writability);
        tokio::spawn(async move {
            tokio::time::sleep(span).await;
            writability.send_replace(Writability::Writable);
        });
    }

    async fn with_fate(&self, append: Append) -> Result<Appended, AppendError> {
        self.fate.livelock.count(|| format!("append to {}", append.stream)).await;
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
            Some(FaultKind::Kept) => strike(Strike::Kept, self.keep(append)).await,
            Some(FaultKind::Dropped) => strike(Strike::Dropped, self.keep(append)).await,
            Some(FaultKind::Full) => {
                self.fill(Duration::from_millis(luck.below(20_000)));
                strike(Strike::Full, self.keep(append)).await
            }
            Some(FaultKind::DiesBefore) => self.die().await,
            Some(FaultKind::DiesAfter) => {
                // What is refused was not kept, and is no moment to die at.
                self.keep(append).await?;
                self.die().await
            }
        }
    }

    async fn read_with_fate(&self, yields: bool) -> Result<(), ReadError> {
        let read = self.try_to_read(yields).await;
        self.fate.failed.fetch_add(u64::from(read.is_err()), Ordering::SeqCst);
        read
    }

    async fn try_to_read(&self, yields: bool) -> Result<(), ReadError> {
        self.fate.livelock.count(|| "read".into()).await;
        let (at, fault) = self.fate.next_read();
        if yields {
            tokio::task::yield_now().await;
        }
        let mut luck = Luck::of(self.fate.seed, &format!("read {at}"));
        let mut last = |is_full| {
            let span = Duration::from_millis(luck.below(8_000));
            *self.fate.unreadable.lock().unwrap() = Some((Instant::now() + span, is_full));
            span
        };
        match fault {
            None => {}
            Some(ReadFaultKind::Fails) => return Err(away()),
            Some(ReadFaultKind::Away) => drop(last(false)),
            Some(ReadFaultKind::Full) => {
                let span = last(true);
                self.fill(span);
            }
            Some(ReadFaultKind::Slow) => tokio::time::sleep(Duration::from_millis(luck.below(4_000))).await,
        }
        self.fate.unreadable().map_or(Ok(()), Err)
    }
}

impl Between for FaultyStore {
    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.with_fate(append))
    }

    fn read<'a>(&'a self, asked: Asked<'a>, from: Version) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(self.read_with_fate(matches!(asked, Asked::Events(_)) && from.0 % 3 == 1))
    }

    fn writability(&self) -> watch::Receiver<Writability> {
        self.writability.subscribe()
    }

    fn two_in_flight(&self, stream: &StreamId) {
        self.side_effects.report(format!("D2: two appends of {stream} in flight"));
    }
}

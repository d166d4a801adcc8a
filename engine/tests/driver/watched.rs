//! A store that is watched, slowed down and made to fail.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_engine::envelope::{Envelope, StreamId, StreamKind};
use everfold_engine::id::{Position, Version};
use everfold_engine::store::{
    Append, AppendError, Appended, EventStore as _, MemoryStore, ReadError, Subscription, Writability,
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
    /// Reads of some streams fail.
    unread: Mutex<Option<Unread>>,
    /// So many looks at what is new in the log fail.
    pub follows_to_fail: Arc<AtomicUsize>,
    /// What appends to runs' streams are made to do.
    pub faults: Mutex<VecDeque<Fault>>,
    /// What the next append to the stream of pauses is made to do.
    halt_fault: Mutex<Option<Fault>>,
    /// What the next append to a key's stream is made to do.
    key_fault: Mutex<Option<Fault>>,
    /// What the next append to a source's stream is made to do.
    hook_fault: Mutex<Option<Fault>>,
    /// Appends to counters of budgets never come to an end.
    pub counters_stand: AtomicBool,
    pub writability: watch::Sender<Writability>,
    /// The index cannot be mended for want of room.
    pub is_unreadable: AtomicBool,
}

/// Reads that fail.
struct Unread {
    /// How their streams begin.
    start: String,
    /// It is their ends that are looked at.
    ends: bool,
    /// So many of them go well before.
    skipped: usize,
    left: usize,
    why: Why,
}

/// Why a read fails.
#[derive(Clone, Copy)]
enum Why {
    Away,
    /// For want of room.
    Full,
    /// What is stored is not what was written.
    Damaged,
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
            unread: Mutex::default(),
            follows_to_fail: Arc::default(),
            faults: Mutex::default(),
            halt_fault: Mutex::default(),
            key_fault: Mutex::default(),
            hook_fault: Mutex::default(),
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

    /// The next reads of streams that begin so fail.
    pub fn fail_reads_of(&self, start: &str, times: usize) {
        self.fail(Unread { start: start.to_owned(), ends: false, skipped: 0, left: times, why: Why::Away });
    }

    /// The same of the one read after so many.
    pub fn fail_one_read_of(&self, start: &str, skipped: usize) {
        self.fail(Unread { start: start.to_owned(), ends: false, skipped, left: 1, why: Why::Away });
    }

    /// The same, for want of room.
    pub fn fill_reads_of(&self, start: &str, times: usize) {
        self.fail(Unread { start: start.to_owned(), ends: false, skipped: 0, left: times, why: Why::Full });
    }

    /// The next looks at the ends of streams that begin so fail.
    pub fn fail_ends_of(&self, start: &str, times: usize) {
        self.fail(Unread { start: start.to_owned(), ends: true, skipped: 0, left: times, why: Why::Away });
    }

    /// All reads of streams that begin so find damage.
    pub fn damage(&self, start: &str) {
        let left = usize::MAX;
        self.fail(Unread { start: start.to_owned(), ends: false, skipped: 0, left, why: Why::Damaged });
    }

    /// What was damaged is as it was written.
    pub fn mend(&self) {
        *self.unread.lock().unwrap() = None;
    }

    fn fail(&self, unread: Unread) {
        *self.unread.lock().unwrap() = Some(unread);
    }

    /// How many of them have not failed yet.
    pub fn unread_left(&self) -> usize {
        self.unread.lock().unwrap().as_ref().map_or(0, |unread| unread.left)
    }

    fn is_unread(&self, asked: Asked<'_>) -> Option<ReadError> {
        let (stream, ends) = match asked {
            Asked::Events(stream) => (stream, false),
            Asked::Head(stream) => (stream, true),
            Asked::Other => return None,
        };
        let mut unread = self.unread.lock().unwrap();
        let unread =
            unread.as_mut().filter(|it| it.ends == ends && stream.to_string().starts_with(&it.start))?;
        if let Some(left) = unread.skipped.checked_sub(1) {
            unread.skipped = left;
            return None;
        }
        unread.left = unread.left.checked_sub(1)?;
        let (stream, version) = (stream.clone(), Version::FIRST);
        Some(match unread.why {
            Why::Away => ReadError::Index("it went away".into()),
            Why::Full => ReadError::Full,
            Why::Damaged => ReadError::DamagedStream { stream, version, what: "its bytes are others".into() },
        })
    }

    pub fn fail_halt(&self, fault: Fault) {
        *self.halt_fault.lock().unwrap() = Some(fault);
    }

    pub fn fail_key(&self, fault: Fault) {
        *self.key_fault.lock().unwrap() = Some(fault);
    }

    pub fn fail_hook(&self, fault: Fault) {
        *self.hook_fault.lock().unwrap() = Some(fault);
    }

    pub fn fail_next(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    fn next_fault(&self, stream: &StreamId) -> Option<Fault> {
        match stream.kind {
            StreamKind::Run => self.faults.lock().unwrap().pop_front(),
            StreamKind::Hook => self.hook_fault.lock().unwrap().take(),
            StreamKind::Key => self.key_fault.lock().unwrap().take(),
            _ if *stream == StreamId::engine("halts") => self.halt_fault.lock().unwrap().take(),
            _other => None,
        }
    }
}

/// The log as it is followed.
struct Followed {
    inner: Box<dyn Subscription>,
    to_fail: Arc<AtomicUsize>,
}

impl Subscription for Followed {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        Box::pin(async move {
            let events = self.inner.next().await?;
            let less = |left: usize| left.checked_sub(1);
            match self.to_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
                Ok(_) => Err(ReadError::Index("it went away".into())),
                Err(_) => Ok(events),
            }
        })
    }
}

impl Between for Watched {
    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        if let Writability::ReadOnly(why) = &*self.writability.borrow() {
            return Box::pin(ready(Err(AppendError::ReadOnly(why.clone()))));
        }
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

    fn read<'a>(&'a self, asked: Asked<'a>, _from: Version) -> BoxFuture<'a, Result<(), ReadError>> {
        let less = |left: usize| left.checked_sub(1);
        if let Some(error) = self.is_unread(asked) {
            return Box::pin(ready(Err(error)));
        }
        if !matches!(asked, Asked::Events(_)) {
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

    fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        let (inner, to_fail) = (self.inner.subscribe(from), Arc::clone(&self.follows_to_fail));
        Box::new(Followed { inner, to_fail })
    }

    fn writability(&self) -> watch::Receiver<Writability> {
        self.writability.subscribe()
    }

    fn two_in_flight(&self, stream: &StreamId) {
        panic!("D2: two appends of {stream} in flight");
    }
}

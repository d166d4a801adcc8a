//! The stores under test, and events to put into them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use everfold_base::time::Timestamp;
use everfold_store::{EventStore, MemoryStore, SledOptions, SledStore};
use everfold_system::clock::Clock;
use tempfile::TempDir;

/// A store that can be closed and opened again, with a clock that the test turns.
pub(crate) struct Subject {
    kind: Kind,
    pub(crate) millis: Arc<AtomicI64>,
}

enum Kind {
    Memory(Option<MemoryStore>),
    Sled { folder: TempDir, loses_index: bool },
}

impl Subject {
    pub(crate) fn memory() -> Self {
        Self { kind: Kind::Memory(None), millis: Arc::new(AtomicI64::new(1_000_000)) }
    }

    pub(crate) fn sled() -> Self {
        let kind = Kind::Sled { folder: tempfile::tempdir().unwrap(), loses_index: false };
        Self { kind, millis: Arc::new(AtomicI64::new(1_000_000)) }
    }

    /// The same, and each time it is opened its index is gone.
    pub(crate) fn journal() -> Self {
        let kind = Kind::Sled { folder: tempfile::tempdir().unwrap(), loses_index: true };
        Self { kind, millis: Arc::new(AtomicI64::new(1_000_000)) }
    }

    /// Whether snapshots are there after reopening: they are no part of the journal.
    pub(crate) fn keeps_snapshots(&self) -> bool {
        !matches!(self.kind, Kind::Sled { loses_index: true, .. })
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
            Kind::Sled { folder, loses_index } => {
                let index = folder.path().join("sled");
                if *loses_index && index.exists() {
                    std::fs::remove_dir_all(index).unwrap();
                }
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

//! What the store's threads and its readers have in common.
//!
//! Law: what stands here is durable. The published position moves after the journal's sync and after
//! index or backlog hold the events.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use lru::LruCache;
use tokio::sync::watch;

use super::backlog::{Backlog, Needs};
use super::files::Files;
use super::gate::{Gate, IndexHealth};
use super::journal::segment::Segments;
use super::judge::{DedupRecord, HeadRecord};
use super::keeper::Keeper;
use super::lock::{FolderLock, NotOurs};
use super::mark::StoreMark;
use super::recent::Recent;
use super::sled::Index;
use super::{ReadError, SledOptions};
use crate::envelope::StreamId;
use crate::id::Position;
use crate::json::Hash;

/// Heads that are kept in memory.
const HEADS_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// How far the store can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) position: Position,
    pub(crate) closed: bool,
}

/// The state that the store's threads and readers share.
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) options: SledOptions,
    pub(crate) segments: Segments,
    index: RwLock<Option<Arc<Index>>>,
    heads: Mutex<LruCache<StreamId, HeadRecord>>,
    pub(crate) recent: Recent,
    pub(crate) backlog: Backlog,
    pub(crate) published: watch::Sender<Published>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) lock: Arc<FolderLock>,
    mark: Mutex<StoreMark>,
}

impl Shared {
    pub(crate) fn new(
        folder: PathBuf,
        options: SledOptions,
        segments: Segments,
        index: Index,
        (gate, keeper): (Arc<Gate>, Arc<Keeper>),
        (lock, mark): (Arc<FolderLock>, StoreMark),
        position: Position,
    ) -> Arc<Self> {
        Arc::new(Self {
            folder,
            files: options.files.clone(),
            options,
            segments,
            index: RwLock::new(Some(Arc::new(index))),
            heads: Mutex::new(LruCache::new(HEADS_MAX)),
            recent: Recent::default(),
            backlog: Backlog::new(keeper),
            published: watch::Sender::new(Published { position, closed: false }),
            gate,
            lock,
            mark: Mutex::new(mark),
        })
    }

    /// The index, unless it is being built again or the store is closed.
    pub(crate) fn index(&self) -> Result<Arc<Index>, ReadError> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner).clone();
        index.ok_or_else(|| {
            if self.published.borrow().closed {
                ReadError::Closed
            } else if matches!(&*self.gate.index().borrow(), IndexHealth::Failed { is_full: true, .. }) {
                ReadError::Full
            } else {
                ReadError::Index("it is being built again from the journal".into())
            }
        })
    }

    /// Whether this is the index that is in use now.
    pub(crate) fn is_index(&self, seen: &Weak<Index>) -> bool {
        let held = self.index.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().is_some_and(|index| std::ptr::eq(Arc::as_ptr(index), seen.as_ptr()))
    }

    /// The index, with all that a reader needs brought in.
    pub(crate) fn index_with(&self, needs: &Needs) -> Result<Arc<Index>, ReadError> {
        self.backlog.settle(self, needs)?;
        self.index()
    }

    /// Puts another index in the place of the one, which is given back.
    pub(crate) fn set_index(&self, index: Option<Index>) -> Option<Arc<Index>> {
        let mut held = self.index.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *held, index.map(Arc::new))
    }

    /// The durable heads that were used lately.
    pub(crate) fn heads(&self) -> MutexGuard<'_, LruCache<StreamId, HeadRecord>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream's durable head, from memory, the backlog or the index.
    pub(crate) fn head(&self, stream: &StreamId) -> Result<Option<HeadRecord>, ReadError> {
        if let Some(head) = self.heads().get(stream) {
            return Ok(Some(*head));
        }
        // Not entered into the memory here: the applier may be just passing by with a newer one.
        match self.backlog.head(stream) {
            Some(head) => Ok(Some(head)),
            None => Ok(self.index()?.head(stream)?),
        }
    }

    /// The entry of an idempotent write, from the backlog or the index.
    pub(crate) fn dedup(&self, key: &Hash) -> Result<Option<DedupRecord>, ReadError> {
        match self.backlog.dedup(key) {
            Some(record) => Ok(Some(record)),
            None => Ok(self.index()?.dedup(key)?),
        }
    }

    /// The store's description, to be read or changed.
    pub(crate) fn mark(&self) -> MutexGuard<'_, StoreMark> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the folder is this process's still: asked before anything in it is written, replaced or removed by
    /// name. Where it is not, nothing is appended ever again.
    ///
    /// # Errors
    /// [`NotOurs`].
    pub(crate) fn check_ours(&self) -> Result<(), NotOurs> {
        self.lock.check().inspect_err(|lost| self.gate.set_not_ours(lost))
    }

    /// Shows readers and followers a group. Under one lock, so that nobody sees a head and not its
    /// events, or events and not their head.
    pub(crate) fn publish(&self, new_heads: Vec<(StreamId, HeadRecord)>, position: Position) {
        let mut heads = self.heads();
        for (stream, head) in new_heads {
            heads.put(stream, head);
        }
        self.published.send_modify(|published| published.position = position);
    }

    /// Waits until what the index may show early is published.
    pub(crate) async fn wait_for(&self, position: Position) -> Result<(), ReadError> {
        let mut published = self.published.subscribe();
        let reached = |published: &Published| published.position >= position || published.closed;
        published.wait_for(reached).await.map(|_| ()).map_err(|_| ReadError::Closed)
    }

    /// Tells followers that nothing comes any more.
    pub(crate) fn end(&self) {
        self.published.send_modify(|published| published.closed = true);
    }
}

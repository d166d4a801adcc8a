//! The state of an open store that its threads and its readers share.
//!
//! Law: what stands here is durable. The published position moves after the journal's sync, and after the index or the
//! unindexed appends hold the events.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use lru::LruCache;
use tokio::sync::watch;

use super::checkpoint_requests::CheckpointRequests;
use super::error::ReadError;
use super::files::Files;
use super::index_record::{DedupRecord, HeadRecord};
use super::journal::segment::Segments;
use super::lock::{FolderLock, OwnershipLost};
use super::manifest;
use super::manifest::Manifest;
use super::options::SledOptions;
use super::published::PublishedEnd;
use super::recent::Recent;
use super::sled::Index;
use super::stream_watch::WatchedStreams;
use super::unindexed::Unindexed;
use super::write_gate::{IndexHealth, WriteGate};
use everfold_base::envelope::StreamId;
use everfold_base::id::Position;
use everfold_base::json::Hash;

/// Heads that are kept in memory.
const HEADS_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// Streams of which it is remembered that building the index again does not mend them.
const DAMAGED_MAX: NonZeroUsize = NonZeroUsize::new(1_000).expect("not zero");

/// The state that the store's threads and its readers share.
pub(crate) struct StoreCore {
    pub(crate) folder: PathBuf,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) options: SledOptions,
    pub(crate) segments: Segments,
    index: RwLock<Option<Arc<Index>>>,
    heads: Mutex<LruCache<StreamId, HeadRecord>>,
    /// Streams that the index was built again for, and that were as damaged in the new one: the journal is.
    damaged: Mutex<LruCache<StreamId, ()>>,
    pub(crate) recent: Recent,
    pub(crate) unindexed: Unindexed,
    pub(crate) checkpoints: CheckpointRequests,
    pub(crate) published: watch::Sender<PublishedEnd>,
    pub(crate) watched: Arc<WatchedStreams>,
    pub(crate) gate: Arc<WriteGate>,
    pub(crate) lock: Arc<FolderLock>,
    manifest: Mutex<Manifest>,
    /// Held while `store.json` is replaced: by way of one file beside it, which two writers would take from each other.
    manifest_writer: Mutex<()>,
}

impl StoreCore {
    pub(crate) fn new(
        folder: PathBuf,
        options: SledOptions,
        segments: Segments,
        index: Index,
        gate: Arc<WriteGate>,
        (lock, manifest): (Arc<FolderLock>, Manifest),
        position: Position,
    ) -> Arc<Self> {
        Arc::new(Self {
            folder,
            files: options.files.clone(),
            options,
            segments,
            index: RwLock::new(Some(Arc::new(index))),
            heads: Mutex::new(LruCache::new(HEADS_MAX)),
            damaged: Mutex::new(LruCache::new(DAMAGED_MAX)),
            recent: Recent::default(),
            unindexed: Unindexed::default(),
            checkpoints: CheckpointRequests::default(),
            published: watch::Sender::new(PublishedEnd { position, closed: false }),
            watched: Arc::default(),
            gate,
            lock,
            manifest: Mutex::new(manifest),
            manifest_writer: Mutex::new(()),
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

    /// Puts another index in the place of the one, which is given back.
    pub(crate) fn set_index(&self, index: Option<Index>) -> Option<Arc<Index>> {
        let mut held = self.index.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *held, index.map(Arc::new))
    }

    /// The durable heads that were used lately.
    pub(crate) fn heads(&self) -> MutexGuard<'_, LruCache<StreamId, HeadRecord>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an error is of a stream that a new index did not mend.
    pub(crate) fn is_damaged(&self, error: &ReadError) -> bool {
        let ReadError::DamagedStream { stream, .. } = error else { return false };
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).contains(stream)
    }

    /// Remembers the stream of an error that came from a new index as well.
    pub(crate) fn note_damage(&self, error: &ReadError) {
        if let ReadError::DamagedStream { stream, .. } = error {
            self.damaged.lock().unwrap_or_else(PoisonError::into_inner).put(stream.clone(), ());
        }
    }

    /// A stream's durable head, from memory, the unindexed appends or the index.
    pub(crate) fn head(&self, stream: &StreamId) -> Result<Option<HeadRecord>, ReadError> {
        if let Some(head) = self.heads().get(stream) {
            return Ok(Some(*head));
        }
        // Not cached here: `post_commit` may publish a newer head at this moment, and this one would replace it.
        match self.unindexed.head(stream) {
            Some(head) => Ok(Some(head)),
            None => Ok(self.index()?.head(stream)?),
        }
    }

    /// The entry of an idempotent write, from the unindexed appends or the index.
    pub(crate) fn dedup(&self, key: &Hash) -> Result<Option<DedupRecord>, ReadError> {
        match self.unindexed.dedup(key) {
            Some(record) => Ok(Some(record)),
            None => Ok(self.index()?.dedup(key)?),
        }
    }

    /// The store's description, to be read or changed.
    pub(crate) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces `store.json` by what the description says once it is this writer's turn, so that a later file never says
    /// less than an earlier one; `last_words` are of the file alone.
    ///
    /// # Errors
    /// The file cannot be replaced.
    pub(crate) fn write_manifest(&self, last_words: impl FnOnce(&mut Manifest)) -> Result<(), ReadError> {
        let _turn = self.manifest_writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut manifest = self.manifest().clone();
        last_words(&mut manifest);
        manifest::write(self.files.as_ref(), &self.folder, &manifest)
            .map_err(|source| ReadError::Write { path: self.folder.join(manifest::FILE_NAME), source })
    }

    /// Whether the folder still belongs to this process: asked before anything in it is written, replaced or removed by
    /// name. Where it is not, nothing is appended ever again.
    ///
    /// # Errors
    /// [`OwnershipLost`].
    pub(crate) fn check_ours(&self) -> Result<(), OwnershipLost> {
        self.lock.check().inspect_err(|lost| self.gate.set_not_ours(lost))
    }

    /// Shows readers and followers a group. Under one lock, so that no reader sees a head and not its
    /// events, or events and not their head.
    pub(crate) fn publish(&self, new_heads: Vec<(StreamId, HeadRecord)>, position: Position) {
        let mut heads = self.heads();
        for (stream, head) in &new_heads {
            heads.put(stream.clone(), *head);
        }
        self.published.send_modify(|published| published.position = position);
        drop(heads);
        self.watched.report(new_heads.iter().map(|(stream, _)| stream));
    }

    /// Waits until what the index may show early is published.
    pub(crate) async fn wait_for(&self, position: Position) -> Result<(), ReadError> {
        let mut published = self.published.subscribe();
        let reached = |published: &PublishedEnd| published.position >= position || published.closed;
        published.wait_for(reached).await.map(|_| ()).map_err(|_| ReadError::Closed)
    }

    /// Ends followers: nothing is published any more.
    pub(crate) fn end(&self) {
        self.published.send_modify(|published| published.closed = true);
        self.watched.close();
    }
}

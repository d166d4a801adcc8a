//! [`SledStore`]: the store of one machine, a journal with an index by sled.
//!
//! Law: an append resolves after its group's `fdatasync`; no method blocks the caller's thread on a
//! disk. Dropping the store closes it in order.
//!
//! Opened by the owner of a data folder; shared as `Arc<dyn EventStore>`.

use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::append::{Append, Appended, FirstWrite};
use super::checkpointer::Checkpointer;
use super::commit::{Command, Committer, QueuedAppend};
use super::committed;
use super::error::{AppendError, OpenError, ReadError};
use super::event_store::{EventStore, Subscription};
use super::follower::Follower;
use super::index_writer;
use super::index_writer::Needs;
use super::journal::compress::SegmentCompressor;
use super::journal::prepare::Preparer;
use super::journal::reader::JournalCursor;
use super::journal::writer::JournalWriter;
use super::open;
use super::open::OpenedFolder;
use super::options::SledOptions;
use super::paths;
use super::post_commit::PostCommit;
use super::report::OpenReport;
use super::shutdown;
use super::shutdown::StoreThreads;
use super::sled::Index;
use super::store_core::StoreCore;
use super::stream_head::{Snapshot, StreamHead};
use super::stream_watch::StreamWatch;
use super::validate;
use super::writability::Writability;
use super::write_gate::{IndexHealth, WriteGate};
use everfold_base::envelope::{Envelope, StreamId, StreamKind};
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_system::clock::Stopwatch;

/// Appends that wait for the writer at most; more callers wait before they queue.
const QUEUE: usize = 4_096;
/// How often a reader whose index failed looks into the one that came in its place.
const READ_AGAIN_MAX: u32 = 2;

/// Bytes of payload behind which one read of the log takes no more.
pub(crate) const READ_BYTES_ENOUGH: usize = 8 * 1024 * 1024;

/// The store of one machine.
pub struct SledStore {
    core: Arc<StoreCore>,
    queue: Option<mpsc::Sender<Command>>,
    running: Arc<Mutex<Option<StoreThreads>>>,
    report: OpenReport,
}

impl SledStore {
    /// Opens the store in a folder, or makes a new one there. Blocks: rebuilding the index takes a
    /// second or two for a million events.
    ///
    /// # Errors
    /// [`OpenError`]; nothing that could be evidence was changed.
    pub fn open(folder: impl AsRef<Path>, options: SledOptions) -> Result<Self, OpenError> {
        let folder = folder.as_ref().to_owned();
        let OpenedFolder { lock, manifest, index, survey, active, report } = open::open(&folder, &options)?;
        let gate = Arc::new(WriteGate::default());
        if !manifest.adopted {
            gate.set_not_adopted(Some(not_adopted()));
        }
        let (owner, is_adopted) = (manifest.owner(), manifest.adopted);
        let segments = survey.segment_list();
        let position = survey.tail.position();
        let files = options.files.clone();
        let capacity = options.segments.later;
        let journal_folder = paths::journal_folder(&folder);
        let held = (lock.clone(), manifest);
        let compressor = SegmentCompressor {
            files: files.clone(),
            folder: journal_folder.clone(),
            segments: segments.clone(),
            lock: lock.clone(),
            bytes_min: options.compress_from,
        };
        let preparer = Preparer::new(files.clone(), &journal_folder, lock, {
            let gate = gate.clone();
            move |full| gate.set_full(full)
        });
        let core = StoreCore::new(folder.clone(), options, segments.clone(), index, gate, held, position);
        let threads_failed = |source| OpenError::Io { path: folder.clone(), source };
        let post_commit = PostCommit::start(core.clone()).map_err(threads_failed)?;
        let journal = JournalWriter::new(
            files,
            &journal_folder,
            segments,
            owner,
            (preparer.clone(), capacity),
            active,
            survey.tail,
        );
        let committer = Committer::new(core.clone(), journal, post_commit);
        let (queue, commands) = mpsc::channel(QUEUE);
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(body).map_err(threads_failed)
        };
        let mut others = vec![
            spawn("everfold-prepare", {
                let preparer = preparer.clone();
                Box::new(move || preparer.run())
            })?,
            spawn("everfold-keep", {
                let core = core.clone();
                Box::new(move || Checkpointer { core: &core, requests: &core.checkpoints }.run())
            })?,
            spawn("everfold-index", {
                let core = core.clone();
                Box::new(move || index_writer::run(&core))
            })?,
        ];
        // A copy that does not act yet stays as it is.
        if is_adopted {
            others.push(spawn("everfold-compress", Box::new(move || compressor.run()))?);
        }
        let writer = spawn("everfold-write", Box::new(move || committer.run(commands)))?;
        let running = StoreThreads { writer, others, preparer };
        let running = Arc::new(Mutex::new(Some(running)));
        Ok(Self { core, queue: Some(queue), running, report })
    }

    /// What opening found and did.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.core.folder
    }

    pub(crate) fn core(&self) -> &StoreCore {
        &self.core
    }

    /// Whether the folder still belongs to this process, as far as the names in it show.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.core.check_ours().is_ok()
    }

    /// Lets a copied or moved store act: from now on it is the one.
    ///
    /// # Errors
    /// Where that cannot be recorded.
    pub async fn adopt(&self) -> Result<(), ReadError> {
        self.blocking(|core| {
            core.check_ours().map_err(|lost| ReadError::Io {
                path: core.folder.clone(),
                source: std::io::Error::other(lost),
            })?;
            core.manifest().adopted = true;
            core.write_manifest(|_| {})?;
            core.gate.set_not_adopted(None);
            Ok(())
        })
        .await
    }

    /// Runs what may wait for the disk on a thread for that.
    async fn blocking<T: Send + 'static>(
        &self,
        body: impl FnOnce(&StoreCore) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let core = self.core.clone();
        match tokio::task::spawn_blocking(move || body(&core)).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => Err(ReadError::Index(error.to_string())),
            Err(_) => Err(ReadError::Closed),
        }
    }

    /// Reads from the index; where it turns out to be damaged, again after it was built again.
    async fn indexed<T: Send + 'static>(
        &self,
        needs: Needs,
        body: impl Fn(&Index) -> Result<T, ReadError> + Send + Sync + 'static,
    ) -> Result<T, ReadError> {
        let body = Arc::new(body);
        if *self.core.gate.index().borrow() == IndexHealth::Building {
            self.rebuilt(&Weak::new()).await?;
        }
        let mut tries = 0;
        loop {
            let (body, needs) = (body.clone(), needs.clone());
            let read = self.blocking(move |core| {
                Ok(match index_writer::index_with(core, &needs) {
                    Ok(index) => (body(&index), Arc::downgrade(&index)),
                    Err(error) => (Err(error), Weak::new()),
                })
            });
            match read.await? {
                (
                    Err(error @ (ReadError::Index(_) | ReadError::DamagedStream { .. } | ReadError::Full)),
                    seen,
                ) if tries < READ_AGAIN_MAX
                    && !self.core.published.borrow().closed
                    && !self.core.is_damaged(&error) =>
                {
                    tries += 1;
                    match self.rebuilt(&seen).await {
                        Ok(()) => {}
                        Err(full @ ReadError::Full) => return Err(full),
                        // The first error says what the caller asked about.
                        Err(_) => return Err(error),
                    }
                }
                (Err(error), _) => {
                    if tries > 0 {
                        self.core.note_damage(&error);
                    }
                    return Err(error);
                }
                (outcome, _) => return outcome,
            }
        }
    }

    /// Has the index rebuilt, unless another one stands in its place already, and waits for it.
    async fn rebuilt(&self, seen: &Weak<Index>) -> Result<(), ReadError> {
        let mut health = self.core.gate.index();
        let is_whole = *health.borrow_and_update() == IndexHealth::Whole;
        if is_whole && self.core.is_index(seen) {
            tracing::warn!("the index could not be read; it is built again from the journal");
            self.core.gate.set_index(IndexHealth::Building);
            self.core.checkpoints.request_rebuild();
        }
        let mut published = self.core.published.subscribe();
        let found = tokio::select! {
            found = health.wait_for(|health| *health != IndexHealth::Building) => {
                found.map_err(|_| ReadError::Closed)?.clone()
            }
            _ = published.wait_for(|published| published.closed) => return Err(ReadError::Closed),
        };
        match found {
            IndexHealth::Failed { is_full: true, .. } => Err(ReadError::Full),
            IndexHealth::Failed { why, .. } => Err(ReadError::Index(why)),
            IndexHealth::Whole | IndexHealth::Building => Ok(()),
        }
    }
}

fn not_adopted() -> String {
    "this folder was copied, moved or put back; `everfold store adopt` lets it act, if no other copy does and what \
     it did since is not to be done again"
        .into()
}

impl EventStore for SledStore {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            validate::check_form(&append)?;
            let since = Stopwatch::start();
            let record = committed::encoded(&append);
            let (reply, answer) = oneshot::channel();
            let queued = Command::Append(Box::new(QueuedAppend { append, record, reply }));
            let queue = self.queue.as_ref().ok_or(AppendError::Closed)?;
            queue.send(queued).await.map_err(|_| AppendError::Closed)?;
            let lost = |_| AppendError::Unknown("the store ended before it answered".into());
            let answered = answer.await.map_err(lost)?;
            self.core.options.observer.appended(since.elapsed(), answered.is_ok());
            answered
        })
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        from: Version,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Envelope>, ReadError>> {
        let (stream, last) = (stream.clone(), self.last_position());
        // sled may answer with less, and without a word, once a write of it has failed.
        let known = self.core.heads().get(&stream).map(|head| head.public());
        // Who asks again and again for what came since waits for no thread where nothing did.
        if known.as_ref().is_some_and(|head| from > head.version) {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        let known = known.filter(|head| head.position <= last).map_or(Version::ZERO, |head| head.version);
        Box::pin(async move {
            if self.core.unindexed.head(&stream).is_some() {
                let stream = stream.clone();
                let read = move |core: &StoreCore| Ok(core.unindexed.read(&stream, from, limit, last));
                if let Some(events) = self.blocking(read).await? {
                    return events;
                }
            }
            let events = self
                .indexed(Needs::Stream(stream.clone()), move |index| {
                    let events = index.read(&stream, from, limit, index.held())?;
                    let reached =
                        events.last().map_or(Version(from.0.saturating_sub(1)), |event| event.header.version);
                    if events.len() < limit && reached < known {
                        return Err(ReadError::Index(format!(
                            "it holds less of {stream} than was published"
                        )));
                    }
                    Ok(events)
                })
                .await?;
            // The index may be a moment ahead of what is published; then a head would be older than its events.
            if let Some(last) = events.last().map(|event| event.position)
                && last > self.last_position()
            {
                self.core.wait_for(last).await?;
            }
            Ok(events)
        })
    }

    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        Box::pin(async move {
            let last = self.last_position();
            if limit == 0 || from > last {
                return Ok(Vec::new());
            }
            if let Some(events) = self.core.recent.read(from, limit) {
                return Ok(events);
            }
            self.blocking(move |core| {
                let mut cursor = JournalCursor::new(core.files.clone(), core.segments.clone(), from);
                let mut events = Vec::new();
                while events.len() < limit {
                    let more = cursor.next_events(last, limit - events.len(), READ_BYTES_ENOUGH)?;
                    if more.is_empty() {
                        break;
                    }
                    events.extend(more);
                }
                Ok(events)
            })
            .await
        })
    }

    fn head<'a>(&'a self, stream: &'a StreamId) -> BoxFuture<'a, Result<Option<StreamHead>, ReadError>> {
        if let Some(head) = self.core.heads().get(stream) {
            let head = head.public();
            return Box::pin(std::future::ready(Ok(Some(head))));
        }
        let stream = stream.clone();
        Box::pin(async move {
            let needs = Needs::Stream(stream.clone());
            let head = self.indexed(needs, move |index| Ok(index.head(&stream)?)).await?;
            if let Some(head) = &head {
                self.core.wait_for(head.position).await?;
            }
            Ok(head.map(|head| head.public()))
        })
    }

    fn heads(&self, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Option<StreamHead>>, ReadError>> {
        Box::pin(async move {
            let heads = self
                .indexed(Needs::All, move |index| {
                    streams
                        .iter()
                        .map(|stream| Ok(index.head(stream)?))
                        .collect::<Result<Vec<_>, ReadError>>()
                })
                .await?;
            if let Some(last) = heads.iter().flatten().map(|head| head.position).max() {
                self.core.wait_for(last).await?;
            }
            Ok(heads.into_iter().map(|head| head.map(|head| head.public())).collect())
        })
    }

    fn first_write(&self, key: Hash) -> BoxFuture<'_, Result<Option<FirstWrite>, ReadError>> {
        Box::pin(async move {
            let record = match self.core.unindexed.dedup(&key) {
                Some(record) => Some(record),
                None => self.indexed(Needs::Nothing, move |index| Ok(index.dedup(&key)?)).await?,
            };
            let Some(record) = record else { return Ok(None) };
            let first = record.public((self.core.options.clock)());
            if let Some(first) = &first {
                self.core.wait_for(first.appended.last_position()).await?;
            }
            Ok(first)
        })
    }

    fn streams(
        &self,
        kind: StreamKind,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, StreamHead)>, ReadError>> {
        Box::pin(async move {
            let streams = self
                .indexed(Needs::All, move |index| Ok(index.streams(kind, after.as_deref(), limit)?))
                .await?;
            if let Some(last) = streams.iter().map(|(_, head)| head.position).max() {
                self.core.wait_for(last).await?;
            }
            Ok(streams)
        })
    }

    fn due(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<StreamId>, ReadError>> {
        Box::pin(self.indexed(Needs::All, move |index| Ok(index.due(until)?)))
    }

    fn next_wake(&self) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        Box::pin(self.indexed(Needs::All, |index| Ok(index.next_wake()?)))
    }

    fn last_position(&self) -> Position {
        self.core.published.borrow().position
    }

    fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        Box::new(Follower::new(self.core.clone(), from))
    }

    fn watch(&self, stream: &StreamId) -> StreamWatch {
        self.core.watched.of(stream)
    }

    fn save_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        let stream = stream.clone();
        Box::pin(self.indexed(Needs::Nothing, move |index| Ok(index.save_snapshot(&stream, &snapshot)?)))
    }

    fn load_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fold_version: u32,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, ReadError>> {
        let stream = stream.clone();
        Box::pin(
            self.indexed(Needs::Stream(stream.clone()), move |index| {
                index.load_snapshot(&stream, fold_version)
            }),
        )
    }

    fn writability(&self) -> watch::Receiver<Writability> {
        self.core.gate.watch()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), AppendError>> {
        Box::pin(async move {
            let (done, closed) = oneshot::channel();
            if let Some(queue) = &self.queue
                && queue.send(Command::Close(done)).await.is_ok()
            {
                // An error means that the thread has ended: as good.
                let _ended = closed.await;
            }
            let (core, running) = (self.core.clone(), self.running.clone());
            let finished = tokio::task::spawn_blocking(move || shutdown::finish(&core, &running)).await;
            finished.map_err(|error| AppendError::Unknown(error.to_string()))
        })
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // The writer thread ends when the queue is closed.
        self.queue = None;
        shutdown::finish(&self.core, &self.running);
    }
}

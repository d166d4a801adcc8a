//! [`SledStore`]: the store of one machine, a journal with an index by sled.
//!
//! Law: an append resolves after its group's `fdatasync`; no method blocks the caller's thread on a
//! disk. Dropping the store closes it in order.
//!
//! Opened by whoever owns a data folder; shared as `Arc<dyn EventStore>`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::applier::{Applier, RECORD_AT};
use super::backlog::Needs;
use super::commit::{Command, Committer, Queued};
use super::files::{Files, SystemFiles};
use super::follow::Follower;
use super::gate::{Cause, Gate, IndexHealth};
use super::journal::prepare::Preparer;
use super::journal::reader::JournalCursor;
use super::journal::segment::SegmentSizes;
use super::journal::writer::JournalWriter;
use super::keeper::Keeper;
use super::mark::{self, IndexState};
use super::open::{self, Opened};
use super::renew::{self, INDEX_FOLDER};
use super::shared::Shared;
use super::sled::{self, Index};
use super::{
    Append, AppendError, Appended, EventStore, FirstWrite, Head, OpenError, Progress, ReadError, Snapshot,
    StoreObserver, Subscription, Unobserved, Writability, judge, record,
};
use crate::clock::{self, Clock, Stopwatch};
use crate::envelope::{Envelope, StreamId, StreamKind};
use crate::id::{Position, Version};
use crate::json::Hash;
use crate::time::Timestamp;

/// Appends that wait for the writer at most; more callers wait before they queue.
const QUEUE: usize = 4_096;
/// How often a reader whose index failed looks into the one that came in its place.
const READ_AGAIN_MAX: u32 = 2;
/// Who opens a store for one write has closed it by then, and pays nothing for it.
const RENEW_MARK_AFTER: Duration = Duration::from_millis(100);
/// Bytes of payload behind which one read of the log takes no more.
pub(crate) const READ_BYTES_ENOUGH: usize = 8 * 1024 * 1024;

/// How a store is opened. `Default` is what everything but tests wants.
#[derive(Clone)]
pub struct SledOptions {
    /// The system calls.
    pub files: Arc<dyn Files>,
    /// Where commit times come from.
    pub clock: Clock,
    /// The kernel's name for this boot; while it stays, a kill is no power cut.
    pub boot_id: String,
    /// How long the journal's files are made.
    pub segments: SegmentSizes,
    /// Memory for sled's pages.
    pub cache_bytes: u64,
    /// How long after the first write that follows a checkpoint `store.json` becomes another file.
    pub renew_mark_after: Duration,
    /// Told how far building the index has come.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
    /// Told how the store does.
    pub observer: Arc<dyn StoreObserver>,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            files: Arc::new(SystemFiles),
            clock: clock::system(),
            boot_id: mark::boot_id(),
            segments: SegmentSizes::default(),
            cache_bytes: 32 * 1024 * 1024,
            renew_mark_after: RENEW_MARK_AFTER,
            progress: Arc::new(|_| {}),
            observer: Arc::new(Unobserved),
        }
    }
}

/// What opening a store found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// The store's identity, 32 hexadecimal digits; copies share it.
    pub store: String,
    /// The store's epoch, 16 hexadecimal digits; no copy shares it. Cursors carry it.
    pub epoch: String,
    /// Whether this folder may act: it was not copied or moved, or somebody adopted it.
    pub adopted: bool,
    /// There was nothing in the folder.
    pub is_new: bool,
    /// The last event's position.
    pub position: Position,
    /// What was done to the index.
    pub index: IndexOpened,
    /// What was mended, for people.
    pub warnings: Vec<String>,
}

/// What opening did to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexOpened {
    /// It was up to date.
    Kept,
    /// It lacked the journal's last events.
    CaughtUp {
        /// How many.
        events: u64,
    },
    /// It was built again from the journal.
    Rebuilt {
        /// Of how many events.
        events: u64,
    },
}

/// The store of one machine.
pub struct SledStore {
    shared: Arc<Shared>,
    keeper: Arc<Keeper>,
    queue: Option<mpsc::Sender<Command>>,
    running: Arc<Mutex<Option<Running>>>,
    report: OpenReport,
}

/// What ends with the store.
struct Running {
    writer: JoinHandle<()>,
    beside: Vec<JoinHandle<()>>,
    preparer: Arc<Preparer>,
    keeper: Arc<Keeper>,
}

impl SledStore {
    /// Opens the store in a folder, or makes a new one there. Blocks: rebuilding the index takes a
    /// second or two for a million events.
    ///
    /// # Errors
    /// [`OpenError`]; nothing that could be evidence was changed.
    pub fn open(folder: impl AsRef<Path>, options: SledOptions) -> Result<Self, OpenError> {
        let folder = folder.as_ref().to_owned();
        let Opened { lock, mark, index, survey, active, report } = open::open(&folder, &options)?;
        let gate = Arc::new(Gate::default());
        if !mark.adopted {
            gate.set(Cause::NotAdopted, Some(not_adopted()));
        }
        let owner = open::owner(&mark);
        let segments = survey.shared();
        let position = survey.tail.position();
        let files = options.files.clone();
        let capacity = options.segments.later;
        let journal_folder = open::journal_folder(&folder);
        let held = (lock.clone(), mark);
        let preparer = Preparer::new(files.clone(), &journal_folder, lock, {
            let gate = gate.clone();
            move |full| gate.set_full(full)
        });
        let keeper = Keeper::new();
        let gate = (gate, keeper.clone());
        let shared = Shared::new(folder.clone(), options, segments.clone(), index, gate, held, position);
        let threads_failed = |source| OpenError::Io { path: folder.clone(), source };
        let applier = Applier::start(shared.clone(), keeper.clone()).map_err(threads_failed)?;
        let journal = JournalWriter::new(
            files,
            &journal_folder,
            segments,
            owner,
            (preparer.clone(), capacity),
            active,
            survey.tail,
        );
        let committer = Committer::new(shared.clone(), journal, applier);
        let (queue, commands) = mpsc::channel(QUEUE);
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(body).map_err(threads_failed)
        };
        let beside = vec![
            spawn("everfold-prepare", {
                let preparer = preparer.clone();
                Box::new(move || preparer.run())
            })?,
            spawn("everfold-keep", {
                let (keeper, shared) = (keeper.clone(), shared.clone());
                Box::new(move || keeper.run(&shared))
            })?,
            spawn("everfold-index", {
                let shared = shared.clone();
                Box::new(move || shared.backlog.run(&shared))
            })?,
        ];
        let writer = spawn("everfold-write", Box::new(move || committer.run(commands)))?;
        let running = Running { writer, beside, preparer, keeper: keeper.clone() };
        let running = Arc::new(Mutex::new(Some(running)));
        Ok(Self { shared, keeper, queue: Some(queue), running, report })
    }

    /// What opening found and did.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whether the folder is this process's still, by all that can be told of its names.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.shared.check_ours().is_ok()
    }

    /// Lets a copied or moved store act: from now on it is the one.
    ///
    /// # Errors
    /// Where that cannot be recorded.
    pub async fn adopt(&self) -> Result<(), ReadError> {
        self.blocking(|shared| {
            shared.check_ours().map_err(|lost| ReadError::Io {
                path: shared.folder.clone(),
                source: std::io::Error::other(lost),
            })?;
            let mark = {
                let mut mark = shared.mark();
                mark.adopted = true;
                mark.clone()
            };
            mark::write(shared.files.as_ref(), &shared.folder, &mark)
                .map_err(|source| ReadError::Io { path: shared.folder.join(mark::FILE_NAME), source })?;
            shared.gate.set(Cause::NotAdopted, None);
            Ok(())
        })
        .await
    }

    /// Runs what may wait for the disk on a thread for that.
    async fn blocking<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Shared) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let shared = self.shared.clone();
        match tokio::task::spawn_blocking(move || body(&shared)).await {
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
        if *self.shared.gate.index().borrow() == IndexHealth::Building {
            self.heal(&Weak::new()).await?;
        }
        let mut tries = 0;
        loop {
            let (body, needs) = (body.clone(), needs.clone());
            let read = self.blocking(move |shared| {
                Ok(match shared.index_with(&needs) {
                    Ok(index) => (body(&index), Arc::downgrade(&index)),
                    Err(error) => (Err(error), Weak::new()),
                })
            });
            match read.await? {
                (
                    Err(error @ (ReadError::Index(_) | ReadError::DamagedStream { .. } | ReadError::Full)),
                    seen,
                ) if tries < READ_AGAIN_MAX && !self.shared.published.borrow().closed => {
                    tries += 1;
                    match self.heal(&seen).await {
                        Ok(()) => {}
                        Err(full @ ReadError::Full) => return Err(full),
                        // The first error says what the caller asked about.
                        Err(_) => return Err(error),
                    }
                }
                (outcome, _) => return outcome,
            }
        }
    }

    /// Has the index built again, unless another one stands in its place already, and waits for it.
    async fn heal(&self, seen: &Weak<Index>) -> Result<(), ReadError> {
        let mut health = self.shared.gate.index();
        let is_whole = *health.borrow_and_update() == IndexHealth::Whole;
        if is_whole && self.shared.is_index(seen) {
            tracing::warn!("the index could not be read; it is built again from the journal");
            self.shared.gate.set_index(IndexHealth::Building);
            self.keeper.heal_now();
        }
        let mut published = self.shared.published.subscribe();
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
            judge::check_form(&append)?;
            let since = Stopwatch::start();
            let record = encoded(&append);
            let (reply, answer) = oneshot::channel();
            let queued = Command::Append(Box::new(Queued { append, record, reply }));
            let queue = self.queue.as_ref().ok_or(AppendError::Closed)?;
            queue.send(queued).await.map_err(|_| AppendError::Closed)?;
            let lost = |_| AppendError::Unknown("the store ended before it answered".into());
            let answered = answer.await.map_err(lost)?;
            self.shared.options.observer.appended(since.elapsed(), answered.is_ok());
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
        let known = self.shared.heads().get(&stream).map(|head| head.public());
        let known = known.filter(|head| head.position <= last).map_or(Version::ZERO, |head| head.version);
        Box::pin(async move {
            if self.shared.backlog.head(&stream).is_some() {
                let stream = stream.clone();
                let read = move |shared: &Shared| Ok(shared.backlog.read(&stream, from, limit, last));
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
                self.shared.wait_for(last).await?;
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
            if let Some(events) = self.shared.recent.read(from, limit) {
                return Ok(events);
            }
            self.blocking(move |shared| {
                let mut cursor = JournalCursor::new(shared.files.clone(), shared.segments.clone(), from);
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

    fn head<'a>(&'a self, stream: &'a StreamId) -> BoxFuture<'a, Result<Option<Head>, ReadError>> {
        if let Some(head) = self.shared.heads().get(stream) {
            let head = head.public();
            return Box::pin(std::future::ready(Ok(Some(head))));
        }
        let stream = stream.clone();
        Box::pin(async move {
            let needs = Needs::Stream(stream.clone());
            let head = self.indexed(needs, move |index| Ok(index.head(&stream)?)).await?;
            if let Some(head) = &head {
                self.shared.wait_for(head.position).await?;
            }
            Ok(head.map(|head| head.public()))
        })
    }

    fn heads(&self, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Option<Head>>, ReadError>> {
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
                self.shared.wait_for(last).await?;
            }
            Ok(heads.into_iter().map(|head| head.map(|head| head.public())).collect())
        })
    }

    fn first_write(&self, key: Hash) -> BoxFuture<'_, Result<Option<FirstWrite>, ReadError>> {
        Box::pin(async move {
            let record = match self.shared.backlog.dedup(&key) {
                Some(record) => Some(record),
                None => self.indexed(Needs::Nothing, move |index| Ok(index.dedup(&key)?)).await?,
            };
            let Some(record) = record else { return Ok(None) };
            let first = record.public((self.shared.options.clock)());
            if let Some(first) = &first {
                self.shared.wait_for(first.appended.last_position()).await?;
            }
            Ok(first)
        })
    }

    fn streams(
        &self,
        kind: StreamKind,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, Head)>, ReadError>> {
        Box::pin(async move {
            let streams = self
                .indexed(Needs::All, move |index| Ok(index.streams(kind, after.as_deref(), limit)?))
                .await?;
            if let Some(last) = streams.iter().map(|(_, head)| head.position).max() {
                self.shared.wait_for(last).await?;
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
        self.shared.published.borrow().position
    }

    fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        Box::new(Follower::new(self.shared.clone(), from))
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
        self.shared.gate.watch()
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
            let (shared, running) = (self.shared.clone(), self.running.clone());
            let finished = tokio::task::spawn_blocking(move || finish(&shared, &running)).await;
            finished.map_err(|error| AppendError::Unknown(error.to_string()))
        })
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // The writer ends when nobody can queue any more.
        self.queue = None;
        finish(&self.shared, &self.running);
    }
}

/// Waits for the threads, makes the index durable, says so, and lets the folder go.
fn finish(shared: &Shared, running: &Mutex<Option<Running>>) {
    let Some(ended) = running.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    put_away(shared, ended);
    shared.lock.release();
}

fn put_away(shared: &Shared, ended: Running) {
    let wrote = ended.writer.join().is_ok();
    ended.preparer.stop();
    ended.keeper.stop();
    shared.backlog.stop();
    let kept = ended.beside.into_iter().all(|thread| thread.join().is_ok());
    if let Err(error) = shared.backlog.bring_in(shared) {
        tracing::warn!(%error, "the index did not take the last events; the next start brings them in");
    }
    let Some(index) = shared.set_index(None) else { return };
    let synced = index.checkpoint();
    let held = index.position();
    wait_for_readers(index);
    if shared.check_ours().is_err() {
        return; // It has been said; what lies there is somebody else's.
    }
    let mut mark = shared.mark().clone();
    let whole = held.is_ok_and(|held| held == mark.journal.position) && shared.gate.is_sound();
    if let Err(error) = &synced {
        tracing::warn!(%error, "the index could not be made durable; the next start builds it again");
    }
    if wrote && kept && whole && synced.is_ok() {
        let folder = shared.folder.join(INDEX_FOLDER);
        let settled = sled::settle(&folder).map_err(|error| error.to_string());
        match settled.and_then(|()| renew::digest(&folder).map_err(|error| error.to_string())) {
            Ok(files) => mark.index = IndexState::Closed { files },
            Err(error) => tracing::warn!(error, "the index's end could not be recorded"),
        }
    }
    if let Err(error) = mark::write(shared.files.as_ref(), &shared.folder, &mark) {
        tracing::warn!(%error, "the end could not be recorded; the next start checks more");
    }
}

/// Waits until the last reader has let go of the index, so that the folder can be opened again.
pub(crate) fn wait_for_readers(mut index: Arc<Index>) {
    loop {
        match Arc::try_unwrap(index) {
            Ok(last) => return drop(last),
            Err(shared) => {
                index = shared;
                std::thread::yield_now();
            }
        }
    }
}

/// The record of an append with its length in front.
fn encoded(append: &Append) -> Vec<u8> {
    let payloads: usize = append.events.iter().map(|event| event.payload.len() + 48).sum();
    let mut bytes = Vec::with_capacity(payloads + 256);
    bytes.extend_from_slice(&[0; RECORD_AT]);
    record::encode(append, &mut bytes);
    let length = u32::try_from(bytes.len() - RECORD_AT).expect("checked: an append is bounded");
    bytes[..RECORD_AT].copy_from_slice(&length.to_le_bytes());
    bytes
}

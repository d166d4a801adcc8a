//! The read side of a store: its read models, kept up from the log, and what is asked of them.
//!
//! Law: nothing here holds up who appends. Facts are read from the store's memory while the models keep up,
//! and from the log when they do not; they are folded on a thread of their own, and put into the shelf in
//! batches, never on the way of a commit. Whoever asks waits until what was durable at the call is folded,
//! but not for ever; where the log cannot be read, the answer is why.
//!
//! The owner of a data folder keeps one and answers lists from it; the engine asks it through [`RunDirectory`].

mod directory;
mod handover;
mod threads;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use everfold_engine::id::Position;
use everfold_engine::store::{EventStore, ReadError};
use tokio::sync::watch;

use crate::audit::{Audit, AuditView};
use crate::generation::{self, Generation};
use crate::inbox::{Inbox, InboxView};
use crate::look::Look;
use crate::lost::{Lost, LostView};
use crate::model::{AnyModel, Inner, Model, ModelStatus, Stopped};
use crate::projection::{FoldError, Projection};
use crate::runs::{Runs, RunsView};
use crate::shelf::{Shelf, ShelfError};
use crate::source::Unreadable;
use crate::spend::{Spend, SpendView};

pub use directory::RunDirectory;
use handover::handover;
use threads::{Tells, fold, follow, put_away, rebuild};

/// How long an asker waits for what was durable when it asked; after that it is given what there is.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an asker waits for a position that it names.
const PATIENCE_NAMED: Duration = Duration::from_secs(5);

/// Where the read models are kept.
#[derive(Debug, Clone)]
pub struct Place {
    /// The folder; `None`: in memory.
    pub folder: Option<PathBuf>,
    /// The store's epoch: what another one's models said is not believed.
    pub epoch: String,
    /// The kernel's name for this boot.
    pub boot: String,
    /// The data folder, where values lie that are too large for an event; `None`: they count as unknown.
    pub values: Option<PathBuf>,
}

impl Place {
    /// Read models that are gone with the process.
    #[must_use]
    pub fn memory() -> Self {
        Self { folder: None, epoch: String::new(), boot: String::new(), values: None }
    }

    /// Read models in a folder.
    #[must_use]
    pub fn folder(folder: PathBuf, epoch: &str) -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { folder: Some(folder), epoch: epoch.to_owned(), boot: boot.trim().to_owned(), values: None }
    }

    /// Reads what is too large for an event from this data folder.
    #[must_use]
    pub fn with_values(self, data_folder: PathBuf) -> Self {
        Self { values: Some(data_folder), ..self }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The models have not come that far in time.
    #[error("the read models are at position {position}, {lag} events behind the wanted {wanted}")]
    Behind {
        /// Where they are.
        position: Position,
        /// What was wanted.
        wanted: Position,
        /// The difference.
        lag: u64,
    },
    /// The log cannot be read where the models go on, and they do not know what was wanted.
    #[error("the read models are at position {position}: the log behind it cannot be read")]
    Log {
        /// Where they are.
        position: Position,
        /// What is wrong: for damage with file and positions.
        #[source]
        source: Arc<ReadError>,
    },
    /// The model stopped.
    #[error("the read model {name} stopped at position {}: {}", stopped.position, stopped.what)]
    Stopped {
        /// Its name.
        name: &'static str,
        /// Why.
        stopped: Stopped,
    },
    /// The model cannot be read.
    #[error("the read model {name} cannot be read")]
    Fold {
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: FoldError,
    },
    /// There is no model of this name.
    #[error("there is no read model “{0}”")]
    Unknown(String),
    /// It is being built anew already.
    #[error("the read model {0} is being built anew already")]
    Rebuilding(&'static str),
    /// The read side has ended.
    #[error("the read models are closed")]
    Closed,
}

/// An answer, and the position that it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// What was asked.
    pub value: T,
    /// The last event that it knows.
    pub position: Position,
}

/// What the models' threads tell.
#[derive(Debug, Clone)]
struct Told {
    /// The last event that all models that go on have folded.
    position: Position,
    /// They have folded what was there when they were opened.
    ready: bool,
    closed: bool,
    /// Why the log cannot be read; it is tried again all the while.
    unread: Option<Arc<ReadError>>,
}

impl Told {
    /// Whether waiting does not help: what is stored is not what was written.
    fn is_damaged(&self) -> bool {
        let is_damage = |error: &Arc<ReadError>| {
            matches!(**error, ReadError::Damaged(_) | ReadError::DamagedStream { .. })
        };
        self.unread.as_ref().is_some_and(is_damage)
    }
}

struct Models {
    runs: Arc<Model<Runs>>,
    inbox: Arc<Model<Inbox>>,
    audit: Arc<Model<Audit>>,
    spend: Arc<Model<Spend>>,
    lost: Arc<Model<Lost>>,
}

impl Models {
    fn all(&self) -> [&dyn AnyModel; 5] {
        let Self { runs, inbox, audit, spend, lost } = self;
        [runs.as_ref(), inbox.as_ref(), audit.as_ref(), spend.as_ref(), lost.as_ref()]
    }

    /// The last event that all models that go on have folded.
    fn position(&self) -> Option<Position> {
        self.all().iter().filter(|model| model.stopped().is_none()).map(|model| model.position()).min()
    }
}

struct Shared {
    models: Models,
    shelf: Arc<Shelf>,
    place: Place,
    store: Arc<dyn EventStore>,
    told: watch::Sender<Told>,
    unreadable: Mutex<Vec<Unreadable>>,
    next_generation: AtomicU32,
    /// The end of the log when the models were opened.
    head_at_open: Position,
    /// The last event that was shown to the models; held while they fold.
    shown: Mutex<Position>,
}

/// The read models of a store.
pub struct ReadSide {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ReadSide {
    /// Opens the read models, and goes on with them on threads of their own. Blocks for as long as sled
    /// takes to open.
    ///
    /// # Errors
    /// The folder cannot be made or written. What lies in it and cannot be believed or read is no error:
    /// it is folded again.
    pub fn open(
        place: Place,
        store: Arc<dyn EventStore>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, ShelfError> {
        let (shelf, closed) = match &place.folder {
            None => (Shelf::memory(), None),
            Some(folder) => {
                let opened = Shelf::open(folder, &place.epoch, &place.boot)?;
                (opened.shelf, opened.closed)
            }
        };
        let shelf = Arc::new(shelf);
        let next = AtomicU32::new(generation::next_generation(&shelf)?);
        let opening = Opening { shelf: &shelf, closed, head: store.last_position(), next };
        let models = Models {
            runs: opening.model()?,
            inbox: opening.model()?,
            audit: opening.model()?,
            spend: opening.model()?,
            lost: opening.model()?,
        };
        let next_generation = AtomicU32::new(opening.next.load(Ordering::Relaxed));
        let position = models.position().unwrap_or(Position::ZERO);
        let head_at_open = opening.head;
        let ready = position >= head_at_open;
        let (told, _) = watch::channel(Told { position, ready, closed: false, unread: None });
        let unreadable = Mutex::default();
        let shown = Mutex::new(position);
        let shared = Arc::new(Shared {
            models,
            shelf,
            place,
            store,
            told,
            unreadable,
            next_generation,
            head_at_open,
            shown,
        });
        let (stop, stopping) = watch::channel(false);
        let (giver, taker) = handover();
        let reader = {
            let (shared, runtime, stopping) = (Arc::clone(&shared), runtime.clone(), stopping.clone());
            spawn("read-side-log", move || {
                runtime.block_on(follow(&shared, position.next(), &giver, stopping, Tells::Readers))
            })?
        };
        let (ready, writing) = sync_channel(shared.models.all().len());
        let writer = {
            let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
            spawn("read-side-shelf", move || put_away(&shared, &writing, &stopping))?
        };
        let folder = {
            let (shared, stopping) = (Arc::clone(&shared), stopping);
            spawn("read-side-fold", move || fold(&shared, &taker, &ready, &stopping))?
        };
        Ok(Self { shared, stop, threads: Mutex::new(vec![reader, folder, writer]) })
    }

    /// Asks the model `runs`.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn runs<T: Send + 'static>(
        &self,
        min: Option<Position>,
        ask: impl FnOnce(&RunsView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<Answer<T>, AskError> {
        let model = Arc::clone(&self.shared.models.runs);
        self.ask(model, min, move |look| ask(&RunsView::new(look)?)).await
    }

    /// Asks the model `inbox`.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn inbox<T: Send + 'static>(
        &self,
        min: Option<Position>,
        ask: impl FnOnce(&InboxView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<Answer<T>, AskError> {
        let model = Arc::clone(&self.shared.models.inbox);
        self.ask(model, min, move |look| ask(&InboxView::new(look)?)).await
    }

    /// Asks the model `audit`.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn audit<T: Send + 'static>(
        &self,
        min: Option<Position>,
        ask: impl FnOnce(&AuditView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<Answer<T>, AskError> {
        let model = Arc::clone(&self.shared.models.audit);
        self.ask(model, min, move |look| ask(&AuditView::new(look)?)).await
    }

    /// Asks the model `spend`.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn spend<T: Send + 'static>(
        &self,
        min: Option<Position>,
        ask: impl FnOnce(&SpendView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<Answer<T>, AskError> {
        let model = Arc::clone(&self.shared.models.spend);
        self.ask(model, min, move |look| ask(&SpendView::new(look))).await
    }

    /// Asks the model `notices`.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn lost_notices<T: Send + 'static>(
        &self,
        min: Option<Position>,
        ask: impl FnOnce(&LostView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<Answer<T>, AskError> {
        let model = Arc::clone(&self.shared.models.lost);
        self.ask(model, min, move |look| ask(&LostView::new(look))).await
    }

    async fn ask<P: Projection, T: Send + 'static>(
        &self,
        model: Arc<Model<P>>,
        min: Option<Position>,
        ask: impl FnOnce(Look<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<Answer<T>, AskError> {
        let name = P::NAME;
        if let Some(stopped) = model.stopped() {
            return Err(AskError::Stopped { name, stopped });
        }
        self.wait(min).await?;
        let asked = tokio::task::spawn_blocking(move || {
            let seen = model.seen();
            let look = seen.look();
            let position = look.position();
            match model.stopped() {
                Some(stopped) => Err(AskError::Stopped { name, stopped }),
                None => ask(look)
                    .map(|value| Answer { value, position })
                    .map_err(|source| AskError::Fold { name, source }),
            }
        });
        asked.await.map_err(|_| AskError::Closed)?
    }

    /// Waits until what was durable at the call is folded; with `min` until that is, or says so.
    async fn wait(&self, min: Option<Position>) -> Result<(), AskError> {
        let mut told = self.shared.told.subscribe();
        let wanted = min.unwrap_or_else(|| self.shared.store.last_position());
        let there = |told: &Told| told.position >= wanted || told.closed;
        if there(&told.borrow()) {
            return Ok(());
        }
        let in_time = |told: &Told| there(told) || told.is_damaged();
        let patience = if min.is_some() { PATIENCE_NAMED } else { PATIENCE };
        let waited = tokio::time::timeout(patience, told.wait_for(in_time)).await;
        let waited = waited.map(|reached| reached.map(drop));
        if let Ok(Err(_)) = waited {
            return Err(AskError::Closed);
        }
        let now = told.borrow().clone();
        if there(&now) {
            return Ok(());
        }
        if let Some(source) = now.unread {
            return Err(AskError::Log { position: now.position, source });
        }
        if min.is_none() && !now.ready {
            // They are being built for the first time: an answer without most of the log helps nobody.
            let is_over = |told: &Told| there(told) || told.ready || told.unread.is_some();
            let now = told.wait_for(is_over).await.map_err(|_| AskError::Closed)?;
            return match &now.unread {
                Some(source) if !there(&now) => {
                    Err(AskError::Log { position: now.position, source: Arc::clone(source) })
                }
                _ => Ok(()),
            };
        }
        let position = now.position;
        match min {
            None => Ok(()),
            Some(_) => Err(AskError::Behind { position, wanted, lag: wanted.0.saturating_sub(position.0) }),
        }
    }

    /// Resolves when the models have folded a position, however long that takes.
    ///
    /// # Errors
    /// The read side ends before, or the log is damaged before it.
    pub async fn reach(&self, position: Position) -> Result<(), AskError> {
        let mut told = self.shared.told.subscribe();
        let is_over = |told: &Told| told.position >= position || told.closed || told.is_damaged();
        let reached = told.wait_for(is_over).await;
        match reached {
            Ok(told) if told.position >= position => Ok(()),
            Ok(told) if !told.closed => match &told.unread {
                Some(source) => Err(AskError::Log { position: told.position, source: Arc::clone(source) }),
                None => Err(AskError::Closed),
            },
            _closed => Err(AskError::Closed),
        }
    }

    /// Whether the models have folded what was there when they were opened.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.told.borrow().ready
    }

    /// Why the log cannot be read where the models go on, if that is so.
    #[must_use]
    pub fn unread(&self) -> Option<Arc<ReadError>> {
        self.shared.told.borrow().unread.clone()
    }

    /// What can be told of each model.
    #[must_use]
    pub fn status(&self) -> Vec<ModelStatus> {
        let head = self.shared.store.last_position();
        self.shared.models.all().iter().map(|model| model.status(head)).collect()
    }

    /// Bytes on disk.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        self.shared.shelf.size_bytes()
    }

    /// Events that could not be read.
    #[must_use]
    pub fn unreadable(&self) -> Vec<Unreadable> {
        self.shared.unreadable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Builds a model anew beside the one that answers, which it replaces when it has come as far. Returns
    /// at once; [`ReadSide::status`] shows how far it is.
    ///
    /// # Errors
    /// There is no such model, or it is being built already.
    pub fn rebuild(&self, name: &str) -> Result<(), AskError> {
        let shared = Arc::clone(&self.shared);
        let models = shared.models.all();
        let Some(model) = models.iter().position(|model| model.name() == name) else {
            return Err(AskError::Unknown(name.to_owned()));
        };
        if models[model].status(Position::ZERO).rebuilding.is_some() {
            return Err(AskError::Rebuilding(models[model].name()));
        }
        let runtime = tokio::runtime::Handle::current();
        let stopping = self.stop.subscribe();
        let thread = spawn("read-side-rebuild", {
            let shared = Arc::clone(&shared);
            move || rebuild(&shared, &runtime, model, &stopping)
        });
        let thread = thread.map_err(|_| AskError::Closed)?;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Ends in order: the shelf is brought up to where the models are. Repeating it does nothing.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let closed = tokio::task::spawn_blocking(move || {
            let ended = threads.into_iter().all(|thread| thread.join().is_ok());
            if !ended {
                return tracing::warn!("the read models ended by a panic; the next start looks again");
            }
            let mut positions = BTreeMap::new();
            for model in shared.models.all() {
                if let Err(error) = model.checkpoint() {
                    return tracing::warn!(model = model.name(), %error, "a read model could not be put away");
                }
                positions.insert(model.name().to_owned(), model.status(Position::ZERO).checkpoint.0);
            }
            if let Err(error) = shared.shelf.close(&shared.place.epoch, &shared.place.boot, positions) {
                tracing::warn!(%error, "the read models did not close in order");
            }
        });
        if closed.await.is_err() {
            tracing::warn!("the read models did not close in order");
        }
    }
}

impl Drop for ReadSide {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ShelfError> {
    Ok(std::thread::Builder::new().name(name.to_owned()).spawn(work)?)
}

/// What models are opened with.
struct Opening<'a> {
    shelf: &'a Arc<Shelf>,
    /// The positions of an orderly end.
    closed: Option<BTreeMap<String, u64>>,
    head: Position,
    next: AtomicU32,
}

impl Opening<'_> {
    /// Opens a model, or begins it anew where what is there is not to be believed: of another schema, ahead
    /// of the log, or not where it was put away.
    fn model<P: Projection>(&self) -> Result<Arc<Model<P>>, ShelfError> {
        let found = generation::generation_of(self.shelf, P::NAME)?;
        let kept = found.filter(|found| found.schema == P::SCHEMA).and_then(|found| {
            let inner = Inner::<P>::open(Arc::clone(self.shelf), found.number).ok()?;
            let put_away = self.closed.as_ref().map(|closed| closed.get(P::NAME).copied());
            let is_whole = put_away.is_none_or(|position| position == Some(inner.position.0));
            (is_whole && inner.position <= self.head).then_some(inner)
        });
        let inner = match kept {
            Some(inner) => inner,
            None => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                generation::save_generation(self.shelf, P::NAME, Generation { number, schema: P::SCHEMA })?;
                Inner::open(Arc::clone(self.shelf), number)
                    .map_err(|error| ShelfError::new(error.to_string()))?
            }
        };
        Ok(Arc::new(Model::new(Arc::clone(self.shelf), inner)))
    }
}

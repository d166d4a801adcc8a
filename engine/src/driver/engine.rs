//! The handle that everything outside holds.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::live::LiveRun;
use super::message::{Answered, Message, Queued};
use super::shard::Shard;
use super::shared::Shared;
use super::{
    Blobs, DefinitionError, EngineConfig, LoadError, QueryError, ReplayError, Replayed, StartError,
    SubmitError,
};
use crate::actor::Actor;
use crate::clock;
use crate::decide::Refusal;
use crate::definition::Definition;
use crate::envelope::StreamId;
use crate::execution::Edge;
use crate::id::{InputId, Position, RunId, Version};
use crate::input::{InputKind, Start};
use crate::json::{Hash, JsonText};
use crate::layout::Layout;
use crate::state::RunState;
use crate::store::{Dedup, EventStore, Subscription, Writability};

/// A run to start.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The run's id where it is derived; else one is drawn.
    pub run: Option<RunId>,
    /// What it is pinned to.
    pub definition: Arc<Definition>,
    /// Its input, as given.
    pub input: JsonText,
    /// For readers.
    pub title: Option<String>,
    /// Labels beside the pipeline's own.
    pub labels: BTreeMap<String, String>,
    /// Where steps without a workspace work.
    pub cwd: Option<String>,
    /// Who starts it.
    pub actor: Actor,
    /// Recognises a repeated start.
    pub dedup: Option<Dedup>,
}

/// A run that is durably started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The run.
    pub run: RunId,
    /// Its version after the start.
    pub version: Version,
    /// The place of that event.
    pub position: Position,
    /// It had been started before by the same request.
    pub repeated: bool,
}

/// An input of the outside.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The run.
    pub run: RunId,
    /// What happens to it.
    pub kind: InputKind,
    /// Who causes it.
    pub actor: Actor,
    /// Makes a repeated one recognisable; `None`: derived from the idempotency key, else drawn.
    pub id: Option<InputId>,
    /// Recognises a repeated request.
    pub dedup: Option<Dedup>,
}

/// An input that was taken, durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The version the answer rests on.
    pub version: Version,
    /// The place of that event.
    pub position: Position,
    /// Something was recorded; false for what is history already.
    pub changed: bool,
}

/// The engine: cheap to clone. Dropping the last clone ends it as a crash would, except that
/// supervised work lives on either way; [`Engine::shutdown`] ends it in good order.
#[derive(Clone)]
pub struct Engine {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) shards: Vec<mpsc::Sender<Message>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks().iter().for_each(JoinHandle::abort);
    }
}

impl Inner {
    fn tasks(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a task that ends with the engine.
    pub(super) fn keep(&self, task: JoinHandle<()>) {
        self.tasks().push(task);
    }

    pub(super) fn shard(&self, run: RunId) -> &mpsc::Sender<Message> {
        &self.shards[shard_of(run, self.shards.len())]
    }
}

/// Which of `count` shards a run belongs to.
pub(super) fn shard_of(run: RunId, count: usize) -> usize {
    let (high, low) = run.0.as_u64_pair();
    let spread = (high ^ low).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    usize::try_from(spread).unwrap_or_default() % count.max(1)
}

impl Engine {
    /// An engine over a store. It does nothing by itself until runs are started, told something, or
    /// [recovered](Engine::recover). Must be called within a tokio runtime.
    #[must_use]
    pub fn open(
        config: EngineConfig,
        store: Arc<dyn EventStore>,
        blobs: Arc<dyn Blobs>,
        layout: Layout,
        edge: Edge,
    ) -> Self {
        let count = config.shards.max(1);
        let inbox = config.inbox.max(1);
        let shared = Arc::new(Shared::new(config, store, blobs, layout, edge));
        let (shards, tasks) = (0..count)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(inbox);
                (sender, tokio::spawn(Shard::new(Arc::clone(&shared), receiver).run()))
            })
            .unzip();
        Self { inner: Arc::new(Inner { shared, shards, tasks: Mutex::new(tasks) }) }
    }

    /// Starts a run; resolves when that is durable.
    ///
    /// # Errors
    /// [`StartError`]: the input does not fit, the run exists, the store takes nothing, ….
    pub async fn start(&self, request: StartRequest) -> Result<Started, StartError> {
        let shared = &self.inner.shared;
        match &*shared.store.writability().borrow() {
            Writability::Writable => {}
            Writability::Full => return Err(SubmitError::Full.into()),
            Writability::ReadOnly(reason) => return Err(SubmitError::Store(reason.clone()).into()),
        }
        let run = request.run.unwrap_or_else(|| RunId(clock::draw_uuid(shared.now())));
        shared.halts.ensure().await.map_err(|error| SubmitError::Store(error.to_string()))?;
        shared.definitions.save(&request.definition).await?;
        let id = match &request.dedup {
            Some(dedup) => InputId::derive(&format!("start/{}", dedup.key)),
            None => InputId::derive(&format!("{run}/start")),
        };
        let start = Start {
            run,
            input: request.input,
            title: request.title,
            labels: request.labels,
            cwd: request.cwd,
            entropy: clock::draw_u64(),
            config: None,
            parent: None,
            priority: 0,
            admission: Vec::new(),
        };
        let queued = Queued {
            id,
            actor: request.actor,
            kind: InputKind::Start(start),
            dedup: request.dedup,
            answer: None,
            definition: Some(request.definition),
        };
        match self.ask(run, queued).await {
            // The core has seen this very start before.
            Ok(Answered { accepted, repeated: false }) if !accepted.changed => {
                self.started_before(run, id).await
            }
            Ok(Answered { accepted, repeated: false }) => {
                Ok(Started { run, version: accepted.version, position: accepted.position, repeated: false })
            }
            Ok(Answered { accepted, repeated: true }) => {
                let run = self.run_at(accepted.position).await?;
                let Accepted { version, position, .. } = accepted;
                Ok(Started { run, version, position, repeated: true })
            }
            Err(SubmitError::Refused(Refusal::AlreadyStarted)) => self.started_before(run, id).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The start of a run that exists: the same one, or another's.
    async fn started_before(&self, run: RunId, id: InputId) -> Result<Started, StartError> {
        let store = &self.inner.shared.store;
        let events =
            store.read(&StreamId::run(run), Version::FIRST, 1_000).await.map_err(SubmitError::from)?;
        let own = events.iter().take_while(|event| event.header.cause.input == id).last();
        match own {
            Some(last) => {
                let (version, position) = (last.header.version, last.position);
                Ok(Started { run, version, position, repeated: true })
            }
            None => Err(StartError::Exists(run)),
        }
    }

    async fn run_at(&self, position: Position) -> Result<RunId, StartError> {
        let failed = |what: String| StartError::Submit(SubmitError::Store(what));
        let events = self.inner.shared.store.read_all(position, 1).await.map_err(SubmitError::from)?;
        let stream = events.first().map(|event| event.header.stream.id.as_str());
        stream
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| failed(format!("position {position} holds no event of a run")))
    }

    /// Tells a run something; resolves when what followed is durable. From then on the run is driven.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was recorded, except with [`SubmitError::Store`], whose outcome is
    /// found out by repeating the submission with the same id.
    pub async fn submit(&self, submission: Submission) -> Result<Accepted, SubmitError> {
        let Submission { run, kind, actor, id, dedup } = submission;
        let id = id.unwrap_or_else(|| match &dedup {
            Some(dedup) => InputId::derive(&format!("{run}/{}", dedup.key)),
            None => InputId(clock::draw_u128().to_le_bytes()),
        });
        let queued = Queued { id, actor, kind, dedup, answer: None, definition: None };
        Ok(self.ask(run, queued).await?.accepted)
    }

    async fn ask(&self, run: RunId, mut queued: Queued) -> Result<Answered, SubmitError> {
        let shared = &self.inner.shared;
        if shared.is_stopping() {
            return Err(SubmitError::ShuttingDown);
        }
        let (sender, answer) = oneshot::channel();
        queued.answer = Some(sender);
        let dedup = queued.dedup;
        let message = Message::Input { run, queued: Box::new(queued) };
        self.send(run, message).await?;
        self.end_unwanted();
        let answer = answer.await.unwrap_or(Err(SubmitError::ShuttingDown));
        let records_nothing = match &answer {
            Ok(answered) => !answered.accepted.changed,
            Err(error) => matches!(error, SubmitError::Refused(_)),
        };
        match dedup.filter(|_| records_nothing) {
            Some(dedup) => self.first_answer(dedup, answer).await,
            None => answer,
        }
    }

    /// The answer to an input that led to no append, which would have told a repeated one (S10): what
    /// was done once is answered as it was then, though the run has moved on and would refuse it now.
    async fn first_answer(
        &self,
        dedup: Dedup,
        answer: Result<Answered, SubmitError>,
    ) -> Result<Answered, SubmitError> {
        let first = self.store().first_write(dedup.key).await;
        match first.map_err(|error| SubmitError::Store(error.to_string()))? {
            None => answer,
            Some(first) if first.body != dedup.body => Err(SubmitError::KeyReused),
            Some(first) => Ok(Answered::again(&first.appended)),
        }
    }

    async fn send(&self, run: RunId, message: Message) -> Result<(), SubmitError> {
        let shard = self.inner.shard(run);
        match shard.try_send(message) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SubmitError::ShuttingDown),
            Err(mpsc::error::TrySendError::Full(message)) => {
                match shard.send_timeout(message, self.inner.shared.config.patience).await {
                    Ok(()) => Ok(()),
                    Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(SubmitError::Busy),
                    Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(SubmitError::ShuttingDown),
                }
            }
        }
    }

    /// Looks at a run's durable state where it is kept; `look` must be quick. A mere look starts
    /// nothing.
    ///
    /// # Errors
    /// [`QueryError`]: no such run, or one that cannot be folded.
    pub async fn with_state<R: Send + 'static>(
        &self,
        run: RunId,
        look: impl FnOnce(&RunState) -> R + Send + 'static,
    ) -> Result<R, QueryError> {
        let (sender, seen) = oneshot::channel();
        let look = Box::new(move |state: Result<&RunState, QueryError>| {
            let _gone = sender.send(state.map(look));
        });
        self.send(run, Message::Look { run, look }).await.map_err(|error| match error {
            SubmitError::ShuttingDown => QueryError::ShuttingDown,
            other => QueryError::Store(other.to_string()),
        })?;
        seen.await.unwrap_or(Err(QueryError::ShuttingDown))
    }

    /// A copy of a run's durable state. Costs O(run); prefer [`Engine::with_state`].
    ///
    /// # Errors
    /// As for [`Engine::with_state`].
    pub async fn state(&self, run: RunId) -> Result<RunState, QueryError> {
        self.with_state(run, RunState::clone).await
    }

    /// The state of a run as it was after an event.
    ///
    /// # Errors
    /// [`LoadError`]: no such run, or it has not come that far, or it cannot be folded.
    pub async fn state_at(&self, run: RunId, version: Version) -> Result<RunState, LoadError> {
        Ok(self.inner.shared.loader().fold(run, Some(version)).await?.state)
    }

    /// A pinned definition.
    ///
    /// # Errors
    /// [`DefinitionError`]: it was never saved, or cannot be read.
    pub async fn definition(&self, hash: Hash) -> Result<Arc<Definition>, DefinitionError> {
        self.inner.shared.definitions.get(hash).await
    }

    /// The text of a value that the state holds by reference.
    ///
    /// # Errors
    /// [`LoadError`]: the event or its blob is missing or damaged.
    pub async fn value(&self, run: RunId, value: crate::expr::ValueRef) -> Result<JsonText, LoadError> {
        let found = self.inner.shared.values.load(run, vec![value]).await?;
        found.into_iter().next().map(|(_, text)| text).ok_or(LoadError::NotFound(run))
    }

    /// Every event from a position on, as it becomes durable.
    #[must_use]
    pub fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        self.inner.shared.store.subscribe(from)
    }

    /// What the run's attempts say at this moment. Not durable, and forgotten with the attempt.
    #[must_use]
    pub fn live(&self, run: RunId) -> watch::Receiver<LiveRun> {
        self.inner.shared.live.watch(run)
    }

    /// The store behind the engine.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.inner.shared.store
    }

    /// Where things lie in the data folder.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.inner.shared.layout
    }

    /// The runs that cannot be gone on with, and why. [`Engine::recover`] with
    /// [`super::Which::Only`] tries one again.
    #[must_use]
    pub fn set_aside(&self) -> Vec<(RunId, String)> {
        self.inner.shared.aside().iter().map(|(run, reason)| (*run, reason.clone())).collect()
    }

    /// Decides every recorded input of a run again and compares.
    ///
    /// # Errors
    /// [`ReplayError`]: the history cannot be read.
    pub async fn replay(&self, run: RunId) -> Result<Replayed, ReplayError> {
        super::replay::replay_with(&self.inner.shared, run).await
    }

    /// Ends the engine: nothing new is taken or started; in-process work gets its grace, supervised
    /// work lives on; what is on its way becomes durable. True when everything ended within
    /// `deadline`. The store stays open.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        let inner = &self.inner;
        inner.shared.stopping.store(true, Ordering::Release);
        let told = inner.shards.iter().map(|shard| shard.send(Message::Shutdown));
        let ended = async {
            futures::future::join_all(told).await;
            for shard in &inner.shards {
                shard.closed().await;
            }
        };
        let is_in_time = tokio::time::timeout(deadline, ended).await.is_ok();
        inner.tasks().iter().for_each(JoinHandle::abort);
        is_in_time
    }
}

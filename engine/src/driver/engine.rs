//! The handle that everything outside holds.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::children::ChildRuns;
use super::desk::Clerk;
use super::hooks::HookDesk;
use super::line::{LineView, Waiting};
use super::live::LiveRun;
use super::message::Message;
use super::schedules::ScheduleDesk;
use super::shard::Shard;
use super::shared::Shared;
use super::treasury::Treasurer;
use super::{
    Blobs, DefinitionError, EngineConfig, LoadError, QueryError, ReplayError, Replayed, StartError,
    SubmitError,
};
use crate::actor::Actor;
use crate::definition::{Definition, Task};
use crate::event::Parent;
use crate::execution::{Edge, Service};
use crate::id::{InputId, Position, RunId, Version};
use crate::input::InputKind;
use crate::json::{Hash, JsonText};
use crate::layout::Layout;
use crate::state::RunState;
use crate::store::{Appended, Dedup, EventStore, Subscription};

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
    /// The step of another run that starts it.
    pub parent: Option<Parent>,
    /// Higher goes first where runs wait for a slot.
    pub priority: i32,
}

impl StartRequest {
    /// A run without anything that may be left out.
    #[must_use]
    pub fn new(definition: Arc<Definition>, input: JsonText, actor: Actor) -> Self {
        Self {
            run: None,
            definition,
            input,
            title: None,
            labels: BTreeMap::new(),
            cwd: None,
            actor,
            dedup: None,
            parent: None,
            priority: 0,
        }
    }
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
    /// It holds the key that was asked for, and is the answer; nothing was started.
    pub held: bool,
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
    /// It was recorded before, under the same idempotency key: this is the first answer once more.
    pub repeated: bool,
}

impl Accepted {
    /// The first answer to a write, once more.
    pub(super) fn again(first: &Appended) -> Self {
        let (version, position) = (first.last_version(), first.last_position());
        Self { version, position, changed: true, repeated: true }
    }
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
        self.shared.outbox.abort();
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
        let shared = Arc::new_cyclic(|shared| {
            let mut edge = edge;
            edge.executors.insert(Task::RUN.to_owned(), Arc::new(ChildRuns::new(shared.clone())));
            Shared::new(config, store, blobs, layout, edge)
        });
        let (shards, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(inbox)).unzip();
        shared.meet(shards.iter().map(mpsc::Sender::downgrade).collect());
        let shard =
            |(at, receiver)| shared.keep_up("a shard", Shard::new(Arc::clone(&shared), at, receiver).run());
        let mut tasks: Vec<_> = receivers.into_iter().enumerate().map(shard).collect();
        if let Some(survivors) = shared.edge.survivors.clone()
            && !shared.config.order.resources.is_empty()
        {
            shared.line.keep_resources(true);
            let ends = shards.iter().map(mpsc::Sender::downgrade).collect();
            let count = super::absent::count(Arc::clone(&shared), ends, survivors);
            tasks.push(shared.keep_up("the count of what lives", count));
        }
        tasks.push(shared.keep_up("the desk of keys", Clerk::new(Arc::clone(&shared)).run()));
        tasks.push(shared.keep_up("the desk of webhooks", HookDesk::new(Arc::clone(&shared)).run()));
        tasks.push(shared.keep_up("the desk of schedules", ScheduleDesk::new(Arc::clone(&shared)).run()));
        tasks.push(shared.keep_up("the treasury", Treasurer::new(Arc::clone(&shared)).run()));
        Self { inner: Arc::new(Inner { shared, shards, tasks: Mutex::new(tasks) }) }
    }

    /// Starts a run; resolves when that is durable.
    ///
    /// # Errors
    /// [`StartError`]: the input does not fit, the run exists, the store takes nothing, ….
    pub async fn start(&self, request: StartRequest) -> Result<Started, StartError> {
        let started = Arc::clone(&self.inner.shared).start(request).await;
        self.end_unwanted();
        started
    }

    /// Tells a run something; resolves when what followed is durable. From then on the run is driven.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was recorded, except with [`SubmitError::Store`], whose outcome is
    /// found out by repeating the submission with the same id.
    pub async fn submit(&self, submission: Submission) -> Result<Accepted, SubmitError> {
        let accepted = self.inner.shared.submit(submission).await;
        self.end_unwanted();
        accepted
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
        self.inner.shared.with_state(run, look).await
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

    /// The attempts and probes of a run that wait for a place, a resource, a rate or a breaker, in the
    /// order of arrival: the first so many, and how many there are. Not durable.
    #[must_use]
    pub fn waiting(&self, run: RunId, max: usize) -> (Vec<Waiting>, usize) {
        self.inner.shared.line.waiting(run, max)
    }

    /// How places, resources, rates and breakers stand at this moment. Not durable.
    #[must_use]
    pub fn line(&self) -> LineView {
        self.inner.shared.line.view()
    }

    /// Closes a breaker, so that attempts start again at once. False where there is none before this service.
    #[must_use]
    pub fn reset_breaker(&self, service: &Service) -> bool {
        self.inner.shared.line.reset(service)
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

    /// Resolves when a part of the engine panicked that it cannot do without, with what happened. A
    /// panic that is one run's alone sets that run aside instead. What is broken is not mended: the
    /// process is to end, and the next one goes on from what is durable.
    pub async fn broken(&self) -> String {
        let mut broken = self.inner.shared.broken();
        let told = broken.wait_for(Option::is_some).await.map(|told| told.clone());
        match told {
            Ok(Some(what)) => what,
            // The sender lives as long as the engine.
            _gone => std::future::pending().await,
        }
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

    /// Gives recorded verdicts of a run again, by another policy: a CEL text, or `default:KIND`. `versions` are in
    /// ascending order; nothing is recorded.
    ///
    /// # Errors
    /// [`LoadError`]: the history cannot be read.
    pub async fn rejudged(
        &self,
        run: RunId,
        versions: &[Version],
        policy: &str,
    ) -> Result<Vec<super::Rejudged>, LoadError> {
        super::backtest::by_policy(&self.inner.shared, run, versions, policy).await
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

//! The handle of the engine that callers hold.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use crate::engine_parts::EngineParts;
use crate::error::{DefinitionError, LoadError, QueryError, StartError, SubmitError};
use crate::history_fold::HistoryFold;
use crate::live_output::LiveRun;
use crate::messages::ShardMessage;
use crate::recovery::orphan_processes;
use crate::replay::report::{Redecided, ReplayError, Replayed};
use crate::scheduler::view::{LineView, Reason, Waiting};
use crate::start::fork::ForkRequest;
use crate::start::runs_above::RunsAbove;
use crate::start::submission::{Accepted, StartRequest, Started, Submission};
use everfold_base::actor::Actor;
use everfold_base::data_folder::Layout;
use everfold_base::id::{Position, RunId, Version};
use everfold_base::json::{Hash, JsonText};
use everfold_core::decide::{OtherDefinition, Refusal};
use everfold_core::state::RunState;
use everfold_language::definition::Definition;
use everfold_ports::{BroughtCredentials, Service};
use everfold_store::{EventStore, Subscription};
use everfold_system::clock::Stopwatch;

/// How long the end of an engine waits for the search for orphan processes.
const ORPHANS_WAIT: Duration = Duration::from_secs(4);

/// The engine: cheap to clone. Dropping the last clone ends it as a crash would, except that
/// supervised work lives on either way; [`Engine::shutdown`] ends it in good order.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<EngineParts>,
}

impl Engine {
    /// A credential that the text of a pipeline holds: the name of its pattern, and the line.
    #[must_use]
    pub fn credential_in(&self, text: &str) -> Option<(String, usize)> {
        self.inner.shared.edge.redactor.as_ref()?.find(text)
    }

    /// A text of a person as it is kept, credentials masked.
    #[must_use]
    pub fn masked_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.inner.shared.edge.redactor {
            Some(redactor) => redactor.text(text),
            None => Cow::Borrowed(text),
        }
    }

    /// Starts a run; resolves when that is durable.
    ///
    /// # Errors
    /// [`StartError`]: the input does not fit, the run exists, the store takes nothing, ….
    pub async fn start(&self, request: StartRequest) -> Result<Started, StartError> {
        let brings = !request.credentials.is_empty();
        let start = Arc::clone(&self.inner.shared).start(request);
        let started = match brings {
            false => start.await,
            // What was kept for it is there until its answer is known, also where the caller goes away.
            true => self.inner.complete(start).await.unwrap_or_else(|| Err(SubmitError::ShuttingDown.into())),
        };
        orphan_processes::end_unwanted_once(&self.inner);
        started
    }

    /// Makes a run that continues another one's history; resolves when it is durable. A fork whose caller goes away is
    /// completed all the same: the next request with its key comes after it.
    ///
    /// # Errors
    /// [`StartError`]: the origin is not there, refuses it, or the store takes nothing.
    pub async fn fork(&self, request: ForkRequest) -> Result<Started, StartError> {
        let fork = Arc::clone(&self.inner.shared).fork(request);
        self.inner.complete(fork).await.unwrap_or_else(|| Err(SubmitError::ShuttingDown.into()))
    }

    /// Replaces credentials of a run that has not ended; resolves when they are kept.
    ///
    /// # Errors
    /// [`StartError`]: there is no such run, it has ended, or they cannot be kept.
    pub async fn bring(&self, run: RunId, credentials: BroughtCredentials) -> Result<(), StartError> {
        let ended = self.with_state(run, |state| state.is_ended().then(|| state.status())).await;
        match ended {
            Ok(None) => self.inner.shared.replace_credentials(run, credentials).await,
            Ok(Some(status)) => Err(Refusal::Ended(status).into()),
            Err(QueryError::NotFound(run)) => Err(SubmitError::NotFound(run).into()),
            Err(QueryError::ShuttingDown) => Err(SubmitError::ShuttingDown.into()),
            Err(error) => Err(SubmitError::Store(error.to_string()).into()),
        }
    }

    /// Removes credentials of runs that have ended or are not there, and those that are too old. To be called now and
    /// then; a run's own end removes its credentials at once.
    ///
    /// # Errors
    /// The store cannot say which runs there are.
    pub async fn sweep_credentials(&self) -> Result<(), QueryError> {
        self.inner.shared.sweep_credentials().await
    }

    /// Gives a run an input; resolves when what followed is durable. From then on the run is driven.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was recorded, except with [`SubmitError::Store`], whose outcome is
    /// found out by repeating the submission with the same id.
    pub async fn submit(&self, submission: Submission) -> Result<Accepted, SubmitError> {
        let accepted = self.inner.shared.submit(submission).await;
        orphan_processes::end_unwanted_once(&self.inner);
        accepted
    }

    /// Reads a run's durable state in its shard; `look` must be quick. A query starts nothing.
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

    /// The runs above an actor: that of a step's process, and those whose steps had it started, by whatever way.
    ///
    /// # Errors
    /// [`QueryError`]: one of them cannot be read.
    pub async fn runs_above(&self, actor: &Actor) -> Result<RunsAbove, QueryError> {
        self.inner.shared.runs_above(actor).await
    }

    /// Resolves when the end of a run is durable, at once where it has ended; with `false` where the engine ends first.
    ///
    /// # Errors
    /// As for [`Engine::with_state`], also where the run is set aside while its end is awaited.
    pub async fn until_end(&self, run: RunId) -> Result<bool, QueryError> {
        loop {
            // Asked for before the look, so that none is missed in between.
            let ends = &self.inner.shared.ends;
            let (ended, set_aside) = (ends.of(run), ends.of_set_aside(run));
            if self.with_state(run, RunState::is_ended).await? {
                return Ok(true);
            }
            tokio::select! {
                biased;
                ended = ended.seen() => return Ok(ended),
                // The next look says why, or finds it loaded again.
                is_seen = set_aside.seen() => if !is_seen { return Ok(false) },
            }
        }
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

    /// A run's history, to be folded event by event from its first one.
    #[must_use]
    pub fn history(&self, run: RunId) -> HistoryFold {
        HistoryFold::new(Arc::clone(&self.inner.shared), run)
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
    pub async fn value(
        &self,
        run: RunId,
        value: everfold_language::expr::ValueRef,
    ) -> Result<JsonText, LoadError> {
        let found = self.inner.shared.values.load(run, vec![value]).await?;
        found.into_iter().next().map(|(_, text)| text).ok_or(LoadError::NotFound(run))
    }

    /// Every event from a position on, as it becomes durable.
    #[must_use]
    pub fn subscribe(&self, from: Position) -> Box<dyn Subscription> {
        self.inner.shared.store.subscribe(from)
    }

    /// The latest output of the run's attempts. Not durable, and forgotten with the attempt.
    #[must_use]
    pub fn live(&self, run: RunId) -> watch::Receiver<LiveRun> {
        self.inner.shared.live.watch(run)
    }

    /// The attempts and probes of a run that wait for a place, a resource, a rate or a breaker, in the
    /// order of arrival: the first so many, and how many there are. Not durable.
    #[must_use]
    pub fn waiting(&self, run: RunId, max: usize) -> (Vec<Waiting>, usize) {
        self.inner.shared.scheduler.waiting(run, max)
    }

    /// What attempts and probes of all runs wait for, and how many: each counts once. Not durable.
    #[must_use]
    pub fn held_up(&self) -> Vec<(Reason, usize)> {
        self.inner.shared.scheduler.held_up()
    }

    /// How places, resources, rates and breakers stand at this moment. Not durable.
    #[must_use]
    pub fn line(&self) -> LineView {
        self.inner.shared.scheduler.view()
    }

    /// Closes a breaker, so that attempts start again at once. False where there is none before this service.
    #[must_use]
    pub fn reset_breaker(&self, service: &Service) -> bool {
        self.inner.shared.scheduler.reset(service)
    }

    /// The store behind the engine.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.inner.shared.store
    }

    /// The layout of the data folder.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.inner.shared.layout
    }

    /// Resolves when a part of the engine panicked that it cannot do without, with the message. A panic of one run alone
    /// quarantines that run instead. A broken engine is not repaired: the process is to end, and the next one continues
    /// from what is durable.
    pub async fn broken(&self) -> String {
        let mut broken = self.inner.shared.broken();
        let panicked = broken.wait_for(Option::is_some).await.map(|panicked| panicked.clone());
        match panicked {
            Ok(Some(what)) => what,
            // The sender lives as long as the engine.
            _gone => std::future::pending().await,
        }
    }

    /// The quarantined runs, and why. [`Engine::recover`] with
    /// [`Which::Only`](crate::Which::Only) tries one again.
    #[must_use]
    pub fn set_aside(&self) -> Vec<(RunId, String)> {
        self.inner.shared.quarantined().iter().map(|(run, reason)| (*run, reason.clone())).collect()
    }

    /// Why a run is quarantined, where it is.
    #[must_use]
    pub fn why_set_aside(&self, run: RunId) -> Option<String> {
        self.inner.shared.quarantined().get(&run).cloned()
    }

    /// Decides every recorded input of a run again and compares.
    ///
    /// # Errors
    /// [`ReplayError`]: the history cannot be read.
    pub async fn replay(&self, run: RunId) -> Result<Replayed, ReplayError> {
        crate::replay::redecide::replay_with(&self.inner.shared, run).await
    }

    /// Decides the recorded inputs of a run by another definition and compares: all of them, or the one that recorded a
    /// version. Nothing is recorded.
    ///
    /// # Errors
    /// [`ReplayError`]: the history cannot be read, the run has no such version, or the definition is one of another
    /// pipeline.
    pub async fn decide_by(
        &self,
        run: RunId,
        definition: Arc<Definition>,
        version: Option<Version>,
    ) -> Result<Redecided, ReplayError> {
        let other = OtherDefinition::new(definition);
        crate::replay::by_definition::decide_by(&self.inner.shared, run, &other, version).await
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
    ) -> Result<Vec<crate::replay::backtest::Rejudged>, LoadError> {
        crate::replay::backtest::by_policy(&self.inner.shared, run, versions, policy).await
    }

    /// Ends the engine: nothing new is taken or started; in-process work gets its grace, supervised
    /// work lives on; what is on its way becomes durable. True when everything ended within
    /// `deadline`, of which the search for orphan processes takes half at most. The store stays open.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        let inner = &self.inner;
        inner.shared.stopping.store(true, Ordering::Release);
        let since = Stopwatch::start();
        orphan_processes::until_searched(inner, (deadline / 2).min(ORPHANS_WAIT)).await;
        let sent = inner.shards.iter().map(|shard| shard.send(ShardMessage::Shutdown));
        let ended = async {
            futures::future::join_all(sent).await;
            for shard in &inner.shards {
                shard.closed().await;
            }
        };
        let is_in_time = tokio::time::timeout(deadline.saturating_sub(since.elapsed()), ended).await.is_ok();
        inner.tasks().iter().for_each(tokio::task::JoinHandle::abort);
        is_in_time
    }
}

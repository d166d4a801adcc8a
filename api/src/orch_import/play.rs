//! A task of ORCH, played: the engine records its history over a store in memory, at ORCH's times.
//!
//! Law: ports answer with facts and with nothing else; work that no fact is of ends the play. What the engine records
//! follows from the facts alone, so the same task gives the same events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::clock::Clock;
use everfold_engine::data_folder::Layout;
use everfold_engine::definition::{Definition, ExecutorTask, OnLost};
use everfold_engine::driver::{Blocking, Engine, EngineConfig, OrderConfig, StartRequest, Submission};
use everfold_engine::envelope::StreamId;
use everfold_engine::event::{self, CancelRequested, RunEvent, SignalReceived};
use everfold_engine::execution::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Edge, Executor, LossTraits, Traits,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{Position, RunId, StepId};
use everfold_engine::input::{InputKind, StartOptions};
use everfold_engine::json::{JsonText, Payload, Value};
use everfold_engine::slots::identity_stream;
use everfold_engine::store::{MemoryStore, Subscription};
use everfold_engine::time::Timestamp;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use super::facts::{AgentWork, OrchFact};
use super::history::{APPROVED, ENDED, OrchSteps, RECORD, asked, launched};
use crate::memory_blobs::MemoryBlobs;
use crate::virtual_time::{seeded, virtual_clock};

/// In whose name a history is recorded.
pub(super) const IMPORTER: &str = "orch-import";
/// The folder that the engine believes to have; it is never made.
const FOLDER: &str = "/everfold-orch-import";
/// The longest sleep of the engine: nothing sets a virtual clock.
const SLEEP_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The longest time between two things of a task.
const PATIENCE: Duration = Duration::from_secs(20 * 366 * 24 * 60 * 60);
/// How often it is looked whether what follows the end is recorded.
const LOOKS_MAX: usize = 10_000;

/// What is played.
pub(super) struct TaskPlay {
    pub(super) run: RunId,
    pub(super) definition: Arc<Definition>,
    pub(super) options: StartOptions,
    pub(super) steps: OrchSteps,
    /// What each step gave that names the task or reads its issue, by its name.
    pub(super) named: BTreeMap<StepId, Value>,
    pub(super) began_at: Timestamp,
    pub(super) facts: Vec<OrchFact>,
    /// When the history ends, and why where it is no good end.
    pub(super) ends_at: Timestamp,
    pub(super) cancelled: Option<String>,
    /// The key that the run asks for.
    pub(super) key: Option<String>,
}

/// A history that was recorded.
pub(super) struct PlayedTask {
    pub(super) store: Arc<MemoryStore>,
    pub(super) blobs: Arc<MemoryBlobs>,
}

/// Plays a task; in virtual time.
///
/// # Errors
/// The engine did not record what was to be recorded.
pub(super) async fn play(task: TaskPlay) -> Result<PlayedTask, String> {
    let clock = virtual_clock(task.began_at);
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let blobs = Arc::new(MemoryBlobs::default());
    let executor = Arc::new(FactExecutor::new(clock.clone(), task.named));
    let mut edge = Edge::default();
    for kind in [ExecutorTask::AGENT, ExecutorTask::FUNCTION, ExecutorTask::COMMAND] {
        edge.executors.insert(kind.to_owned(), Arc::clone(&executor) as Arc<dyn Executor>);
    }
    let config = EngineConfig {
        shards: 1,
        order: OrderConfig::default(),
        clock: clock.clone(),
        sleep_max: SLEEP_MAX,
        chance: seeded(&task.run.to_string()),
        blocking: Blocking::Inline,
        ..EngineConfig::default()
    };
    let engine = Engine::open(config, store.clone(), blobs.clone(), Layout::new(FOLDER), edge);
    let log = engine.subscribe(Position::FIRST);
    let mut stage = HistoryPlay { engine, log, run: task.run, clock, records: 0, ended: false };
    let actor = Actor::User(IMPORTER.to_owned());
    let request =
        StartRequest { run: Some(task.run), ..StartRequest::new(task.definition, task.options, actor) };
    stage.engine.start(request).await.map_err(|error| error.to_string())?;
    stage.until_open(1).await?;
    for fact in task.facts {
        match fact {
            OrchFact::Worked(work) => {
                let (step, launch, at) = (work.step.clone(), work.launch.clone(), work.began_at);
                executor.expect(*work);
                stage.signal(launched(&step), launch, at).await?;
                stage.until_open(stage.records + 1).await?;
            }
            OrchFact::Approved { asked_at, at, is_recorded } => {
                let Some(step) = &task.steps.approval else { continue };
                stage.signal(asked(step), json!({}), asked_at).await?;
                let text = match is_recorded {
                    true => "approved in ORCH; by whom is not recorded there",
                    false => "ORCH went on behind it; when and by whom it was approved is not recorded there",
                };
                stage.signal(APPROVED.to_owned(), json!({ "text": text }), at).await?;
                stage.until_open(stage.records + 1).await?;
            }
        }
    }
    let is_cancelled = task.cancelled.is_some();
    match task.cancelled {
        None => stage.signal(ENDED.to_owned(), json!({}), task.ends_at).await?,
        Some(reason) => {
            let kind = InputKind::Cancel(CancelRequested { reason: Some(reason) });
            stage.submit(kind, task.ends_at).await?;
        }
    }
    stage.until_ended().await?;
    // A cancelled run gives its key back.
    let released = task.key.filter(|_| is_cancelled).map(|key| identity_stream(&key));
    stage.until_still(released).await?;
    stage.engine.shutdown(Duration::from_secs(1)).await;
    Ok(PlayedTask { store, blobs })
}

struct HistoryPlay {
    engine: Engine,
    log: Box<dyn Subscription>,
    run: RunId,
    clock: Clock,
    /// How often the step that stays open has begun.
    records: usize,
    ended: bool,
}

impl HistoryPlay {
    async fn signal(&self, name: String, payload: Value, at: Timestamp) -> Result<(), String> {
        let payload = Payload::Inline(JsonText::new(&payload));
        self.submit(InputKind::Signal(SignalReceived { name, payload, delivery: None }), at).await
    }

    async fn submit(&self, kind: InputKind, at: Timestamp) -> Result<(), String> {
        sleep_until(&self.clock, at).await;
        let (run, actor) = (self.run, Actor::User(IMPORTER.to_owned()));
        let submission = Submission { run, kind, actor, id: None, dedup: None };
        self.engine.submit(submission).await.map(drop).map_err(|error| error.to_string())
    }

    /// Waits until the step that stays open has begun so often: what was before it has ended then.
    async fn until_open(&mut self, times: usize) -> Result<(), String> {
        while self.records < times {
            self.read_on().await?;
            if self.ended && self.records < times {
                return Err("the history ended before its time".to_owned());
            }
        }
        Ok(())
    }

    async fn until_ended(&mut self) -> Result<(), String> {
        while !self.ended {
            self.read_on().await?;
        }
        Ok(())
    }

    /// Waits until all that follows from the end is recorded, and the key is free that is to be.
    async fn until_still(&self, released: Option<StreamId>) -> Result<(), String> {
        let store = self.engine.store().clone();
        let streams: Vec<StreamId> = std::iter::once(StreamId::run(self.run)).chain(released).collect();
        for _ in 0..LOOKS_MAX {
            let heads = store.heads(streams.clone()).await.map_err(|error| error.to_string())?;
            if heads.iter().flatten().all(|head| !head.note.open && !head.note.busy) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err("something is left to be done behind the end of the history".to_owned())
    }

    async fn read_on(&mut self) -> Result<(), String> {
        let batch = tokio::time::timeout(PATIENCE, self.log.next()).await;
        let batch = batch.map_err(|_| "the history stands still".to_owned())?;
        for envelope in batch.map_err(|error| error.to_string())? {
            if envelope.header.stream.as_run() != Some(self.run) {
                continue;
            }
            let header = &envelope.header;
            let event = event::decode(header.kind, header.schema, &envelope.payload);
            match event.map_err(|error| error.to_string())? {
                RunEvent::StepScheduled(event) if event.id.path.step.as_str() == RECORD => self.records += 1,
                RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_) => {
                    self.ended = true;
                }
                _other => {}
            }
        }
        Ok(())
    }
}

async fn sleep_until(clock: &Clock, at: Timestamp) {
    let millis = u64::try_from(at.0.saturating_sub(clock().0)).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Answers with the facts.
struct FactExecutor {
    clock: Clock,
    named: BTreeMap<StepId, Value>,
    expected: Mutex<VecDeque<AgentWork>>,
}

impl FactExecutor {
    fn new(clock: Clock, named: BTreeMap<StepId, Value>) -> Self {
        Self { clock, named, expected: Mutex::default() }
    }

    fn expect(&self, work: AgentWork) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).push_back(work);
    }

    fn next(&self, step: &StepId) -> Option<AgentWork> {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own = expected.front().is_some_and(|work| work.step == *step);
        if is_own { expected.pop_front() } else { None }
    }
}

impl Executor for FactExecutor {
    fn traits(&self, _spec: &Value) -> Traits {
        let loss = LossTraits { idempotent: false, on_lost: OnLost::Fail };
        Traits { supervised: false, loss, paid: false, reads_input: false }
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        observer.started();
        let (step, clock) = (request.id.attempt.path.step, self.clock.clone());
        if let Some(given) = self.named.get(&step) {
            let end = AttemptEnd::new(AttemptResult::Succeeded(given.clone()), clock());
            return std::future::ready(end).boxed();
        }
        let work = self.next(&step);
        async move {
            let Some(work) = work else {
                let failure =
                    Failure::new(FailureKind::Error, format!("ORCH has no fact of the step {step}"));
                return AttemptEnd::new(AttemptResult::Failed(failure), clock());
            };
            sleep_until(&clock, work.ended_at).await;
            let result = match work.result {
                Ok(output) => AttemptResult::Succeeded(output),
                Err(message) => AttemptResult::Failed(Failure::new(FailureKind::Exit, message)),
            };
            let mut end = AttemptEnd::new(result, work.ended_at);
            end.usage = work.usage.into_iter().collect();
            end
        }
        .boxed()
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.start(request, observer)
    }

    fn cancel(&self, _request: AttemptRequest) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

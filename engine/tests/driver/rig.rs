//! An engine on a machine in virtual time, and what tests ask of it.
#![allow(clippy::disallowed_methods, reason = "virtual time comes from the paused runtime")]

use std::sync::Arc;
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::clock::Clock;
use everfold_engine::definition::Definition;
use everfold_engine::driver::{
    Accepted, Engine, EngineConfig, StartRequest, Started, Submission, SubmitError, Which,
};
use everfold_engine::envelope::{Envelope, StreamId, flag};
use everfold_engine::event::{self, RunEvent, RunSucceeded};
use everfold_engine::id::{RunId, Version};
use everfold_engine::input::InputKind;
use everfold_engine::json::{JsonText, Payload, Value};
use everfold_engine::layout::Layout;
use everfold_engine::state::RunStatus;
use everfold_engine::store::{EventStore as _, MemoryStore};
use everfold_engine::time::Timestamp;
use serde_json::json;

use crate::edge::Machine;
use crate::over::Over;
use crate::watched::Watched;

pub struct Rig {
    pub machine: Arc<Machine>,
    pub store: Arc<Over<Watched>>,
    pub engine: Engine,
    pub config: EngineConfig,
}

/// The calendar of a paused runtime.
pub fn virtual_clock() -> Clock {
    let start = tokio::time::Instant::now();
    Arc::new(move || Timestamp(1_790_000_000_000).plus(start.elapsed()))
}

pub fn definition(document: Value) -> Arc<Definition> {
    Arc::new(serde_json::from_value(document).expect("a canonical document"))
}

pub fn function(id: &str, needs: &[&str], name: &str, with: Value) -> Value {
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "function", "spec": {"name": name, "with": with}}}})
}

pub fn command(id: &str, needs: &[&str], ms: u64) -> Value {
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "command", "spec": {"argv": ["sleep", ms.to_string()]}}}})
}

pub fn pipeline(steps: Vec<Value>) -> Arc<Definition> {
    definition(json!({"name": "test", "steps": steps}))
}

/// A chain of functions that are done at once.
pub fn chain(length: usize) -> Arc<Definition> {
    let steps = (0..length).map(|at| {
        let needs: Vec<String> = at.checked_sub(1).map(|before| format!("s{before}")).into_iter().collect();
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        function(&format!("s{at}"), &needs, "ok", json!({}))
    });
    pipeline(steps.collect())
}

pub fn request(definition: &Arc<Definition>, input: Value) -> StartRequest {
    StartRequest::new(Arc::clone(definition), JsonText::new(&input), Actor::User("ada".into()))
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        let clock = virtual_clock();
        let mut config = EngineConfig { shards: 2, clock: clock.clone(), ..EngineConfig::default() };
        change(&mut config);
        let machine = Machine::new(config.clock.clone());
        let store = Watched::over(MemoryStore::new(config.clock.clone()));
        let engine = open(&config, &store, &machine);
        Self { machine, store, engine, config }
    }

    /// The engine's process dies, and another one is started on the same machine.
    pub async fn crash(&mut self) {
        self.crash_into(|_| {}).await;
    }

    /// The same, with a store that is not as it was.
    pub async fn crash_into(&mut self, change: impl FnOnce(&Watched)) {
        let store = Watched::over(self.store.inner.reopen());
        change(&store);
        let engine = open(&self.config, &store, &self.machine);
        drop(std::mem::replace(&mut self.engine, engine));
        self.store = store;
        // Aborted tasks are dropped when the runtime comes to them.
        tokio::task::yield_now().await;
    }

    pub async fn recover(&self) -> usize {
        self.engine.recover(Which::All).await.unwrap().runs
    }

    pub async fn start(&self, definition: &Arc<Definition>) -> RunId {
        self.try_start(definition).await.run
    }

    pub async fn try_start(&self, definition: &Arc<Definition>) -> Started {
        self.engine.start(request(definition, json!({}))).await.unwrap()
    }

    pub async fn submit(&self, run: RunId, kind: InputKind) -> Result<Accepted, SubmitError> {
        let actor = Actor::User("ada".into());
        self.engine.submit(Submission { run, kind, actor, id: None, dedup: None }).await
    }

    pub async fn status(&self, run: RunId) -> RunStatus {
        self.engine.with_state(run, |state| state.status()).await.unwrap()
    }

    /// Waits until the run's own history has an event; a copied one does not count.
    pub async fn until(&self, run: RunId, wanted: impl Fn(&RunEvent) -> bool) {
        let mut log = self.engine.subscribe(everfold_engine::id::Position::FIRST);
        let stream = StreamId::run(run);
        let found = async {
            loop {
                for envelope in log.next().await.unwrap() {
                    let is_own =
                        envelope.header.stream == stream && envelope.header.flags & flag::COPIED == 0;
                    if is_own && wanted(&decode(&envelope)) {
                        return;
                    }
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(86_400 * 30), found).await.expect("the event comes");
    }

    /// Waits until the run is over, and gives how it ended.
    pub async fn end(&self, run: RunId) -> RunStatus {
        self.until(run, is_end).await;
        self.status(run).await
    }

    pub async fn envelopes(&self, run: RunId) -> Vec<Envelope> {
        let stream = StreamId::run(run);
        self.store.inner.read(&stream, Version::FIRST, usize::MAX).await.unwrap()
    }

    pub async fn history(&self, run: RunId) -> Vec<RunEvent> {
        self.envelopes(run).await.iter().map(decode).collect()
    }

    pub async fn names(&self, run: RunId) -> Vec<&'static str> {
        self.history(run).await.iter().map(RunEvent::name).collect()
    }

    /// What a run that succeeded gives.
    pub async fn output(&self, run: RunId) -> Value {
        match self.history(run).await.pop() {
            Some(RunEvent::RunSucceeded(RunSucceeded { output: Payload::Inline(text) })) => text.value(),
            other => panic!("{other:?}"),
        }
    }

    /// H5: every recorded input is decided as it was.
    pub async fn assert_replays(&self, run: RunId) {
        let replayed = self.engine.replay(run).await.unwrap();
        assert!(replayed.inputs > 0);
        assert_eq!(replayed.differences, [], "H5");
    }
}

pub fn is_end(event: &RunEvent) -> bool {
    matches!(event, RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_))
}

fn decode(envelope: &Envelope) -> RunEvent {
    event::decode(envelope.header.kind, envelope.header.schema, &envelope.payload).unwrap()
}

fn open(config: &EngineConfig, store: &Arc<Over<Watched>>, machine: &Arc<Machine>) -> Engine {
    let layout = Layout::new("/data");
    Engine::open(config.clone(), store.clone(), machine.clone(), layout, machine.edge())
}

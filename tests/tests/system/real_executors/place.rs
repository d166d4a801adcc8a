//! A data folder with an engine over real executors, and what the tests ask of its runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use everfold_base::actor::Actor;
use everfold_base::data_folder::Layout;
use everfold_base::id::{RunId, StepId, Version};
use everfold_base::json::{JsonText, Payload, Value};
use everfold_core::decide::Refusal;
use everfold_core::event::{OriginKind, VoteCast};
use everfold_core::input::{InputKind, StartOptions};
use everfold_core::prices::{Price, Prices};
use everfold_core::state::{Awaited, RunState, RunStatus};
use everfold_language::definition::{Definition, Vote};
use everfold_runtime::{
    Engine, EngineConfig, ForkRequest, MoneyConfig, StartError, StartRequest, Submission,
};
use everfold_store::{EventStore, MemoryStore};
use everfold_system::clock;
use everfold_workflows::function::Functions;
use everfold_workflows::process::cost_micros;

use crate::workflow_fixtures::home::{Home, PATIENCE};

pub struct Place {
    pub home: Home,
    pub store: Arc<dyn EventStore>,
}

impl Place {
    pub fn new() -> Self {
        Self { home: Home::new(), store: Arc::new(MemoryStore::new(clock::system())) }
    }

    pub fn open(&self) -> Engine {
        self.open_with("")
    }

    /// `settings`: the sections of this crate, and `[prices]`, which the engine is given.
    pub fn open_with(&self, settings: &str) -> Engine {
        let mut settings: toml::Table = toml::from_str(settings).unwrap();
        let config = EngineConfig {
            money: MoneyConfig { prices: prices(settings.remove("prices")), ..MoneyConfig::default() },
            ..EngineConfig::default()
        };
        let processes = self.home.processes_with(&settings.to_string());
        let layout = Layout::new(self.home.path("data"));
        let edge = everfold_workflows::edge(&layout, &processes, Functions::built_in(), None);
        Engine::open(config, Arc::clone(&self.store), processes.blobs, layout, edge)
    }

    pub async fn start(&self, engine: &Engine, definition: Definition, input: &Value) -> RunId {
        let actor = Actor::User("ada".to_owned());
        let cwd = Some(self.home.path("work").display().to_string());
        let options = StartOptions { cwd, ..StartOptions::new(JsonText::new(input)) };
        engine.start(StartRequest::new(Arc::new(definition), options, actor)).await.unwrap().run
    }
}

pub async fn tell(engine: &Engine, run: RunId, kind: InputKind) {
    let submission = Submission { run, kind, actor: Actor::User("ada".to_owned()), id: None, dedup: None };
    engine.submit(submission).await.unwrap();
}

/// A fork, restart or retry of a run.
pub fn fork_request(
    origin: RunId,
    how: OriginKind,
    at: Option<Version>,
    from_step: Option<&str>,
) -> ForkRequest {
    ForkRequest {
        origin,
        how,
        at,
        moment: None,
        from_step: from_step.map(StepId::from),
        input: None,
        config: None,
        definition: None,
        title: None,
        live: true,
        replay_effects: false,
        until_step: None,
        actor: Actor::User("grace".to_owned()),
        dedup: None,
        credentials: Default::default(),
    }
}

/// Approves whatever a run asks until it ends.
pub async fn approved_to_its_end(engine: &Engine, run: RunId) -> RunState {
    loop {
        // Several whole deliveries go on beside each other.
        let task = found_within(PATIENCE * 10, engine, run, "a task or the end", |state| {
            let asked = state.awaited().into_iter().find_map(|awaited| match awaited {
                Awaited::Approval { id, .. } => Some(id),
                _ => None,
            });
            let stands = state.status() == RunStatus::Blocked;
            (state.is_ended() || stands || asked.is_some()).then_some(asked)
        })
        .await;
        let Some(id) = task else { return engine.state(run).await.unwrap() };
        let (vote, comment, edited) = (Vote::Approve, None, None);
        let (roles, comments) = (Vec::new(), Vec::new());
        tell(
            engine,
            run,
            InputKind::Vote(VoteCast {
                id,
                vote,
                comment,
                roles,
                comments,
                edited: edited.map(Payload::Inline),
                seen: None,
            }),
        )
        .await;
    }
}

/// What is wrong with the run that goes on from a history: nothing where it succeeds and replays alike.
pub async fn failure_of_fork(engine: &Engine, what: &str, request: ForkRequest) -> Option<String> {
    let run = match engine.fork(request).await {
        Ok(started) => started.run,
        // After the last thing has happened there is nothing to fork.
        Err(StartError::Refused(Refusal::Ended(RunStatus::Succeeded))) => return None,
        Err(error) => return Some(format!("{what}: {error}")),
    };
    let state = approved_to_its_end(engine, run).await;
    let differences = engine.replay(run).await.unwrap().differences;
    let is_well = state.status() == RunStatus::Succeeded && differences.is_empty();
    (!is_well).then(|| {
        format!("{what}: {} {:?} {:?} {differences:?}", state.status(), state.failure(), state.awaited())
    })
}

/// Waits for something to be found in the durable state.
pub async fn found<T: Send + 'static>(
    engine: &Engine,
    run: RunId,
    what: &str,
    look: impl Fn(&RunState) -> Option<T> + Clone + Send + 'static,
) -> T {
    found_within(PATIENCE, engine, run, what, look).await
}

pub async fn found_within<T: Send + 'static>(
    patience: Duration,
    engine: &Engine,
    run: RunId,
    what: &str,
    look: impl Fn(&RunState) -> Option<T> + Clone + Send + 'static,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = engine.with_state(run, look.clone()).await.unwrap() {
            return found;
        }
        if started.elapsed() > patience {
            let state = engine.state(run).await.unwrap();
            panic!("{what} did not come: {:?} {:?} {:?}", state.status(), state.awaited(), state.failure());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn ended(engine: &Engine, run: RunId) -> RunStatus {
    let status = found(engine, run, "the end", |state| state.is_ended().then(|| state.status())).await;
    let replayed = engine.replay(run).await.unwrap();
    assert_eq!(replayed.differences, [], "every decision and every verdict would be the same again");
    status
}

/// The table of prices that a section `[prices]` gives.
fn prices(section: Option<toml::Value>) -> Prices {
    let Some(toml::Value::Table(models)) = section else { return Prices::default() };
    let dollars = |value: &toml::Value| value.to_string().parse::<f64>().unwrap();
    let price = |model: &toml::Value| {
        let [input, output] = ["in", "out"].map(|key| cost_micros(dollars(&model[key])));
        Price { input_micros: input, output_micros: output, cached_micros: input }
    };
    Prices::new(models.iter().map(|(name, model)| (name.clone(), price(model))).collect())
}

/// Approves whatever a run asks; it has to succeed.
pub async fn approved_to_success(engine: &Engine, run: RunId) -> RunState {
    let state = approved_to_its_end(engine, run).await;
    assert_eq!(state.status(), RunStatus::Succeeded, "{:?}", state.failure());
    state
}

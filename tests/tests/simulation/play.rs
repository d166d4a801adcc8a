//! Plays a plan: engines come and go, things happen, and in the end everybody helps.

mod acts;
mod completion;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_engine::data_folder::Layout;
use everfold_engine::definition::Definition;
use everfold_engine::driver::{
    Blocking, BreakerPolicy, Engine, EngineConfig, OrderConfig, RatePolicy, RecoverError, Which,
};
use everfold_engine::envelope::StreamKind;
use everfold_engine::execution::Service;
use everfold_engine::id::{Position, RunId};
use everfold_engine::json::Hash;
use everfold_engine::state::RunState;
use everfold_engine::store::{Dedup, DedupKeep, EventStore as _, MemoryStore};
use tokio::task::JoinSet;

use super::coverage::Coverage;
use super::fake_machine::{FakeMachine, virtual_clock};
use super::fake_ports;
use super::fault_store::Over;
use super::faulty_store::{Fate, FaultyStore};
use super::invariants;
use super::luck::Luck;
use super::plan::{Piece, Plan};
use super::side_effects::{LAMP, Needs, SideEffects};
use super::triggers::{self, TriggerRecord};

/// The longest that a user waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What came of a plan that kept every law.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PlayedPlan {
    /// Of the whole log: streams, hashes, times.
    pub fingerprint: Option<Hash>,
    pub runs: usize,
    pub events: usize,
    pub crashes: usize,
    /// Deliveries and moments.
    pub triggers: usize,
    pub failed_reads: u64,
    pub pairs: Coverage,
}

impl PlayedPlan {
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.events += other.events;
        self.crashes += other.crashes;
        self.triggers += other.triggers;
        self.failed_reads += other.failed_reads;
        self.pairs.add(&other.pairs);
    }
}

impl std::fmt::Display for PlayedPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { runs, events, crashes, triggers, failed_reads, .. } = self;
        write!(
            f,
            "{runs} runs, {events} events, {crashes} crashes, {triggers} deliveries and moments, {failed_reads} failed reads"
        )
    }
}

/// A law that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub what: String,
    /// One line per event.
    pub log: String,
}

/// What came of asking the engine: it is done or refused, or may be asked again, and why. An error is a
/// law that does not hold.
pub type Asked = Result<Result<(), String>, String>;

pub const DONE: Asked = Ok(Ok(()));

/// See [`Asked`].
pub fn again(error: impl std::fmt::Display) -> Asked {
    Ok(Err(error.to_string()))
}

/// Plays a plan in a runtime of its own.
///
/// # Errors
/// The law that did not hold, and the log up to there.
pub fn play(plan: &Plan) -> Result<PlayedPlan, Failed> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let played = runtime.block_on(async {
        let mut stage = Stage::new(plan);
        let fate = stage.fate.clone();
        let played = tokio::select! {
            biased;
            what = fate.livelock.found() => Err(what),
            played = stage.play() => played,
        };
        match played {
            Ok(played) => Ok(played),
            Err(what) => Err(Failed { what, log: invariants::log(&stage.store.inner).await }),
        }
    });
    runtime.shutdown_background();
    played
}

pub struct Stage<'a> {
    plan: &'a Plan,
    definitions: Vec<Arc<Definition>>,
    pub machine: Arc<FakeMachine>,
    pub side_effects: Arc<SideEffects>,
    fate: Arc<Fate>,
    pub store: Arc<Over<FaultyStore>>,
    config: EngineConfig,
    pub engine: Engine,
    /// What people do without waiting for an answer.
    errands: JoinSet<()>,
    starts: usize,
    crashes: usize,
    luck: Luck,
}

fn definition(document: &serde_json::Value) -> Arc<Definition> {
    Arc::new(serde_json::from_value(document.clone()).expect("a canonical document"))
}

fn open(config: &EngineConfig, store: &Arc<Over<FaultyStore>>, machine: &Arc<FakeMachine>) -> Engine {
    Engine::open(
        config.clone(),
        store.clone(),
        machine.clone(),
        Layout::new("/sim/data"),
        fake_ports::edge(machine),
    )
}

/// One lamp, and calls of functions that are bounded now and then.
fn order(luck: u64) -> OrderConfig {
    let f = || Service::new("function", "f");
    let mut order = OrderConfig { resources: [(LAMP.to_owned(), 1)].into(), ..OrderConfig::default() };
    if luck.is_multiple_of(3) {
        let rate = RatePolicy { starts: 4, per: Duration::from_secs(10), burst: 2 };
        order.rates.insert(f(), rate);
    }
    if luck.is_multiple_of(4) {
        let (pause, pause_max) = (Duration::from_secs(5), Duration::from_secs(60));
        order.breakers.insert(f(), BreakerPolicy { failures: 3, pause, pause_max });
    }
    order
}

/// What makes an order recognisable when it comes again.
pub fn once(about: &str) -> Option<Dedup> {
    Some(Dedup { key: Hash::of(about.as_bytes()), body: Hash::of(b"body"), keep: DedupKeep::Week })
}

impl<'a> Stage<'a> {
    fn new(plan: &'a Plan) -> Self {
        let clock = virtual_clock(plan.luck);
        let drawn = Mutex::new(Luck::of(plan.luck, "chance"));
        let bounds = &plan.bounds;
        let config = EngineConfig {
            shards: bounds.shards,
            supervised_max: bounds.supervised,
            functions_max: bounds.functions,
            probes_max: bounds.probes,
            states: bounds.states,
            ended_states: bounds.states / 2,
            clock: clock.clone(),
            chance: Arc::new(move || {
                let mut drawn = drawn.lock().unwrap();
                u128::from(drawn.below(u64::MAX)) << 64 | u128::from(drawn.below(u64::MAX))
            }),
            blocking: Blocking::Inline,
            order: order(plan.luck),
            ..EngineConfig::default()
        };
        let documents = plan.pipelines.iter().map(|piece| &piece.document).chain([&plan.child]);
        let needs = documents.map(definition).map(|definition| (definition.hash(), Needs::of(&definition)));
        let side_effects = SideEffects::new(bounds.clone(), needs.collect());
        let machine =
            FakeMachine::new(side_effects.clone(), clock.clone(), plan.luck, definition(&plan.child));
        let fate = Fate::new(&plan.faults, &plan.reads, plan.luck);
        let store = FaultyStore::over(Arc::new(MemoryStore::new(clock)), fate.clone(), side_effects.clone());
        let engine = open(&config, &store, &machine);
        Self {
            plan,
            definitions: plan.pipelines.iter().map(|piece| definition(&piece.document)).collect(),
            machine,
            side_effects,
            fate,
            store,
            config,
            engine,
            errands: JoinSet::new(),
            starts: 0,
            crashes: 0,
            luck: Luck::of(plan.luck, "stage"),
        }
    }

    async fn play(&mut self) -> Result<PlayedPlan, String> {
        self.recover().await?;
        self.save().await?;
        for (at, act) in self.plan.script.iter().enumerate() {
            self.pause(act).await?;
            self.act(at, act).await?;
            self.check()?;
        }
        self.machine.be_calm();
        self.fate.be_calm();
        self.until_taken(triggers::stop_schedules).await?;
        self.limit_team(None, self.plan.script.len()).await?;
        self.bring_to_end().await?;
        let mut played = invariants::check(self).await?;
        self.check()?;
        (played.crashes, played.failed_reads) = (self.crashes, self.fate.failed_reads());
        Ok(played)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(what) = self.side_effects.violation() {
            return Err(what);
        }
        match self.engine.set_aside().into_iter().find(|(_, reason)| reason.contains("panicked")) {
            Some((run, reason)) => Err(format!("D4: run {run} set aside: {reason}")),
            None => Ok(()),
        }
    }

    /// Does something, or sees the engine die at it.
    async fn while_it_lives<T>(&mut self, doing: impl Future<Output = T>) -> Result<Option<T>, String> {
        let store = self.store.clone();
        let done = tokio::select! {
            biased;
            () = store.dies.notified() => None,
            done = doing => Some(done),
            () = tokio::time::sleep(ANSWER_MAX) => return Err("answers: the engine never answers a request".into()),
        };
        drop(store);
        if done.is_none() {
            self.crash(false).await?;
        }
        Ok(done)
    }

    /// The engine's process dies, after a while another one begins on the same machine.
    fn crash(&mut self, reboots: bool) -> futures::future::BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.crashes += 1;
            self.store.kill();
            self.side_effects.died();
            let store = FaultyStore::over(
                Arc::new(self.store.inner.reopen()),
                self.fate.clone(),
                self.side_effects.clone(),
            );
            let former = std::mem::replace(&mut self.store, store);
            self.errands.shutdown().await;
            drop(std::mem::replace(&mut self.engine, open(&self.config, &self.store, &self.machine)));
            for _ in 0..1_000 {
                if Arc::strong_count(&former) == 1 {
                    break;
                }
                tokio::task::yield_now().await;
            }
            if Arc::strong_count(&former) > 1 {
                return Err("something outlives its engine".into());
            }
            if reboots {
                self.machine.reboot();
            }
            if self.luck.is_one_of(2) {
                let down = self.luck.below(90_000);
                tokio::time::sleep(Duration::from_millis(down)).await;
            }
            self.recover().await
        })
    }

    /// As `serve` does when it begins; one that cannot read its store ends, and is begun again.
    async fn recover(&mut self) -> Result<(), String> {
        let engine = self.engine.clone();
        match self.while_it_lives(async move { engine.recover(Which::All).await }).await? {
            Some(Err(RecoverError::Store(_))) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                return self.crash(false).await;
            }
            Some(Err(error)) => return Err(format!("recovery: {error}")),
            Some(Ok(_)) if self.listens() => {
                self.errands.spawn(triggers::look_at_clock(self.engine.clone()));
            }
            Some(Ok(_)) | None => {}
        }
        Ok(())
    }

    /// Repeats what may be repeated until it is taken or refused, over crashes too.
    async fn until_taken<F>(&mut self, ask: impl Fn(Engine) -> F) -> Result<(), String>
    where
        F: Future<Output = Asked>,
    {
        let mut why = "the engine dies each time".to_owned();
        for _ in 0..40 {
            let asking = ask(self.engine.clone());
            match self.while_it_lives(asking).await? {
                None => {}
                Some(asked) => match asked? {
                    Ok(()) => return Ok(()),
                    Err(later) => {
                        why = later;
                        self.see_to_set_aside().await?;
                        self.while_it_lives(tokio::time::sleep(Duration::from_secs(1))).await?;
                    }
                },
            }
        }
        Err(format!("starvation: what is repeated is never taken: {why}"))
    }

    /// Whether anything from outside starts runs.
    fn listens(&self) -> bool {
        self.plan.pipelines.iter().any(Piece::listens)
    }

    /// What came from outside, and what was made of it.
    async fn trigger_record(&self) -> TriggerRecord {
        TriggerRecord::of(&self.store.inner.read_all(Position::FIRST, usize::MAX).await.unwrap())
    }

    /// The runs there are, in the order of their ids.
    pub async fn runs(&self) -> Vec<RunId> {
        let streams = self.store.inner.streams(StreamKind::Run, None, usize::MAX).await.unwrap();
        streams.iter().filter_map(|(stream, _)| stream.as_run()).collect()
    }

    async fn look(
        &mut self,
        run: RunId,
    ) -> Result<Option<Result<RunState, everfold_engine::driver::QueryError>>, String> {
        let engine = self.engine.clone();
        self.while_it_lives(async move { engine.state(run).await }).await
    }
}

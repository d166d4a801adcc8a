//! Plays a plan: engines come and go, things happen, and in the end everybody helps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::definition::Definition;
use everfold_engine::driver::{
    Blocking, BreakerPolicy, Engine, EngineConfig, ForkRequest, HaltError, OrderConfig, RatePolicy,
    RecoverError, StartError, StartRequest, SubmitError, Which,
};
use everfold_engine::effect::{Effect, effects};
use everfold_engine::envelope::{Envelope, StreamKind, flag};
use everfold_engine::event::{HaltScope, OriginKind, RunEvent};
use everfold_engine::execution::Service;
use everfold_engine::halts::Wanted;
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::json::{Hash, JsonText};
use everfold_engine::layout::Layout;
use everfold_engine::state::RunState;
use everfold_engine::store::{Dedup, DedupKeep, EventStore as _, MemoryStore};
use serde_json::json;
use tokio::task::JoinSet;

use super::judge;
use super::ledger::{LAMP, Ledger, Needs};
use super::machine::{Luck, Machine, virtual_clock};
use super::outside::{self, Outside};
use super::over::Over;
use super::pairs::Pairs;
use super::people::{self, Help};
use super::plan::{Act, Piece, Plan};
use super::store::{Fate, Faulty};

/// The longest that somebody waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Runs that a script starts at most.
const RUNS_MAX: usize = 5;
/// Turns in which everybody helps.
const TURNS_MAX: usize = 4_000;
/// Turns in which nothing moves, each of ten minutes at most.
const STILL_MAX: usize = 300;

/// What came of a plan that kept every law.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Of the whole log: streams, hashes, times.
    pub fingerprint: Option<Hash>,
    pub runs: usize,
    pub events: usize,
    pub crashes: usize,
    /// Deliveries and moments.
    pub outside: usize,
    pub failed_reads: u64,
    pub pairs: Pairs,
}

impl Played {
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.events += other.events;
        self.crashes += other.crashes;
        self.outside += other.outside;
        self.failed_reads += other.failed_reads;
        self.pairs.add(&other.pairs);
    }
}

impl std::fmt::Display for Played {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { runs, events, crashes, outside, failed_reads, .. } = self;
        write!(
            f,
            "{runs} runs, {events} events, {crashes} crashes, {outside} deliveries and moments, {failed_reads} failed reads"
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
pub fn play(plan: &Plan) -> Result<Played, Failed> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let played = runtime.block_on(async {
        let mut stage = Stage::new(plan);
        let fate = stage.fate.clone();
        let played = tokio::select! {
            biased;
            what = fate.endless.found() => Err(what),
            played = stage.play() => played,
        };
        match played {
            Ok(played) => Ok(played),
            Err(what) => Err(Failed { what, log: judge::log(&stage.store.inner).await }),
        }
    });
    runtime.shutdown_background();
    played
}

pub struct Stage<'a> {
    plan: &'a Plan,
    definitions: Vec<Arc<Definition>>,
    pub machine: Arc<Machine>,
    pub ledger: Arc<Ledger>,
    fate: Arc<Fate>,
    pub store: Arc<Over<Faulty>>,
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

fn open(config: &EngineConfig, store: &Arc<Over<Faulty>>, machine: &Arc<Machine>) -> Engine {
    Engine::open(config.clone(), store.clone(), machine.clone(), Layout::new("/sim/data"), machine.edge())
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
        let clock = virtual_clock();
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
        let ledger = Ledger::new(bounds.clone(), needs.collect());
        let machine = Machine::new(ledger.clone(), clock.clone(), plan.luck, definition(&plan.child));
        let fate = Fate::new(&plan.faults, &plan.reads, plan.luck);
        let store = Faulty::over(Arc::new(MemoryStore::new(clock)), fate.clone(), ledger.clone());
        let engine = open(&config, &store, &machine);
        Self {
            plan,
            definitions: plan.pipelines.iter().map(|piece| definition(&piece.document)).collect(),
            machine,
            ledger,
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

    async fn play(&mut self) -> Result<Played, String> {
        self.recover().await?;
        self.save().await?;
        for (at, act) in self.plan.script.iter().enumerate() {
            self.pause(act).await?;
            self.act(at, act).await?;
            self.check()?;
        }
        self.machine.be_calm();
        self.fate.be_calm();
        self.until_taken(outside::stop_schedules).await?;
        self.bring_to_end().await?;
        let mut played = judge::judge(self).await?;
        self.check()?;
        (played.crashes, played.failed_reads) = (self.crashes, self.fate.failed_reads());
        Ok(played)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(what) = self.ledger.violation() {
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
            () = tokio::time::sleep(ANSWER_MAX) => return Err("answers: somebody asks the engine, and is never answered".into()),
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
            self.ledger.died();
            let store =
                Faulty::over(Arc::new(self.store.inner.reopen()), self.fate.clone(), self.ledger.clone());
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
                self.errands.spawn(outside::look_at_clock(self.engine.clone()));
            }
            Some(Ok(_)) | None => {}
        }
        Ok(())
    }

    async fn pause(&mut self, act: &Act) -> Result<(), String> {
        let luck = u64::from(act.luck);
        let span = match act.pause {
            0..100 => {
                for _ in 0..act.pause % 32 {
                    tokio::task::yield_now().await;
                }
                Duration::ZERO
            }
            100..180 => Duration::from_millis(luck),
            180..240 => Duration::from_millis(luck * 80),
            _ => Duration::from_secs(luck * 4),
        };
        if !span.is_zero() {
            self.while_it_lives(tokio::time::sleep(span)).await?;
        }
        Ok(())
    }

    async fn act(&mut self, at: usize, act: &Act) -> Result<(), String> {
        match act.kind {
            _ if at == 0 => self.start(at, act).await,
            0..28 if self.starts < RUNS_MAX => self.start(at, act).await,
            28..50 => {
                for _ in 0..act.luck {
                    tokio::task::yield_now().await;
                }
                self.crash(act.kind < 32).await
            }
            50..58 => self.halt(act).await,
            58..70 => self.fork(at, act).await,
            70..104 if self.listens() => self.deliver(act).await,
            104..114 if self.listens() => {
                self.until_taken(|engine| outside::redeliver(engine, at, act.clone())).await
            }
            114..130 if self.listens() => {
                self.until_taken(|engine| outside::schedule(engine, at, act.clone())).await
            }
            _ => self.person(at, act).await,
        }
    }

    async fn start(&mut self, at: usize, act: &Act) -> Result<(), String> {
        self.starts += 1;
        let definition = act.pick.get(&self.definitions).clone();
        let request = StartRequest {
            cwd: Some("/sim".into()),
            dedup: once(&format!("start {at}")),
            priority: i32::from(act.luck % 3),
            labels: BTreeMap::from([("at".to_owned(), at.to_string())]),
            ..StartRequest::new(definition, JsonText::new(&json!({"n": 1})), Actor::User("ada".into()))
        };
        self.until_taken(|engine| {
            let request = request.clone();
            async move {
                match engine.start(request).await {
                    Ok(_) | Err(StartError::Refused(_)) => DONE,
                    Err(StartError::Submit(error)) if people::may_repeat(&error) => again(error),
                    // Whether it was kept cannot be read; a repeated one is recognised.
                    Err(
                        error
                        @ (StartError::Submit(SubmitError::SetAside { .. }) | StartError::Definition(_)),
                    ) => again(error),
                    Err(error) => Err(format!("start: {error}")),
                }
            }
        })
        .await
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

    /// The pipelines that listen are saved, in their order.
    async fn save(&mut self) -> Result<(), String> {
        let listening =
            self.plan.pipelines.iter().zip(&self.definitions).filter(|(piece, _)| piece.listens());
        let listening: Vec<_> = listening.map(|(_, definition)| definition.clone()).collect();
        for definition in listening {
            self.until_taken(|engine| {
                let definition = definition.clone();
                async move {
                    let saved = engine.save_pipeline(&definition, None, Actor::User("ada".into())).await;
                    saved.map_or_else(again, |_| DONE)
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Something is brought, perhaps by somebody who does not wait for the answer.
    async fn deliver(&mut self, act: &Act) -> Result<(), String> {
        let delivery = outside::delivery(act.luck);
        if act.luck.is_multiple_of(2) {
            let engine = self.engine.clone();
            self.errands.spawn(async move { drop(outside::deliver(engine, delivery).await) });
            return Ok(());
        }
        self.until_taken(|engine| outside::deliver(engine, delivery.clone())).await
    }

    async fn halt(&mut self, act: &Act) -> Result<(), String> {
        let scope = match act.luck % 2 {
            0 => HaltScope::Engine,
            _ => HaltScope::Pipeline(["generated", "other"][usize::from(act.luck % 4 / 2)].into()),
        };
        let wanted = if act.kind < 53 { Wanted::Halt } else { Wanted::Release };
        self.halted(wanted, scope).await
    }

    async fn halted(&mut self, wanted: Wanted, scope: HaltScope) -> Result<(), String> {
        self.until_taken(|engine| {
            let scope = scope.clone();
            async move {
                match engine.halt(wanted, scope, None, Actor::User("ada".into())).await {
                    Ok(_) | Err(HaltError::Refused(_)) => DONE,
                    Err(error) => again(error),
                }
            }
        })
        .await
    }

    async fn fork(&mut self, at: usize, act: &Act) -> Result<(), String> {
        let runs = self.runs().await;
        if runs.is_empty() || runs.len() > RUNS_MAX * 4 {
            return Ok(());
        }
        let origin = *act.pick.get(&runs);
        let Some(Ok(state)) = self.look(origin).await? else { return Ok(()) };
        let steps: Vec<_> = state.steps().map(|(step, _)| step.id.clone()).collect();
        let step = act.pick.get(&steps).clone();
        let version = Version(1 + u64::from(act.luck) % state.version().0.max(1));
        let (how, cut, from_step) = match act.kind % 4 {
            0 => (OriginKind::Fork, Some(version), None),
            1 => (OriginKind::Fork, None, None),
            2 => (OriginKind::Restart, None, Some(step)),
            _ => (OriginKind::Retry, None, None),
        };
        let until_step =
            act.luck.is_multiple_of(5).then(|| steps[usize::from(act.luck) % steps.len()].clone());
        let request = ForkRequest {
            origin,
            how,
            at: cut,
            from_step,
            input: None,
            config: None,
            definition: None,
            title: None,
            until_step,
            actor: Actor::User("ada".into()),
            dedup: once(&format!("fork {at}")),
        };
        self.until_taken(|engine| {
            let request = request.clone();
            async move {
                match engine.fork(request).await {
                    Ok(_) | Err(StartError::Refused(_)) => DONE,
                    Err(StartError::Submit(error)) if people::may_repeat(&error) => again(error),
                    Err(StartError::Submit(SubmitError::NotFound(_) | SubmitError::SetAside { .. })) => DONE,
                    Err(error @ StartError::Definition(_)) => again(error),
                    Err(error) => Err(format!("fork: {error}")),
                }
            }
        })
        .await
    }

    async fn person(&mut self, at: usize, act: &Act) -> Result<(), String> {
        let runs = self.runs().await;
        if runs.is_empty() {
            return Ok(());
        }
        let run = *act.pick.get(&runs);
        let Some(Ok(state)) = self.look(run).await? else { return Ok(()) };
        names_what_it_awaits(run, &state)?;
        let history = judge::history(&self.store.inner, run).await?;
        // What reports an origin's work knows nothing of those who went on with its history.
        let is_own = |envelope: &Envelope| envelope.header.flags & flag::COPIED == 0;
        let own = history.into_iter().filter(|(envelope, _)| is_own(envelope));
        let history: Vec<RunEvent> = own.map(|(_, event)| event).collect();
        let Some(done) = people::act(&state, &history, act, (self.config.clock)()) else { return Ok(()) };
        let mut submission = people::submission(run, done, &format!("act {at}"));
        if act.luck.is_multiple_of(3) {
            submission.dedup = once(&format!("act {at}"));
        }
        match act.luck % 5 {
            // Nobody waits for the answer, and it may come twice.
            0 | 1 => {
                for _ in 0..=act.luck % 2 {
                    let (engine, submission) = (self.engine.clone(), submission.clone());
                    self.errands.spawn(async move { drop(engine.submit(submission).await) });
                }
                Ok(())
            }
            _ => {
                self.until_taken(|engine| {
                    let submission = submission.clone();
                    async move {
                        match engine.submit(submission).await {
                            Err(error) if people::may_repeat(&error) => again(error),
                            _taken_or_refused => DONE,
                        }
                    }
                })
                .await
            }
        }
    }

    /// What came from outside, and what was made of it.
    async fn outside(&self) -> Outside {
        Outside::of(&self.store.inner.read_all(Position::FIRST, usize::MAX).await.unwrap())
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

    /// Everything goes well from now on, and everybody does what is awaited of them.
    async fn bring_to_end(&mut self) -> Result<(), String> {
        let (mut still, mut position) = (0, self.store.last_position());
        for turn in 0..TURNS_MAX {
            self.check()?;
            let mut is_any_open = false;
            let mut has_helped = false;
            self.see_to_set_aside().await?;
            for run in self.runs().await {
                let Some(Ok(state)) = self.look(run).await? else { continue };
                if state.is_ended() {
                    // What it still has to tell is told, to the last notice.
                    is_any_open |= !effects(&state).is_empty();
                    continue;
                }
                is_any_open = true;
                names_what_it_awaits(run, &state)?;
                match people::help(&state, turn) {
                    None => {}
                    Some(Help::Release(scope)) => {
                        self.halted(Wanted::Release, scope).await?;
                        has_helped = true;
                    }
                    Some(Help::Input(actor, kind)) => {
                        let about = format!("help {turn} {run}");
                        let submission = people::submission(run, (actor, kind), &about);
                        let engine = self.engine.clone();
                        self.while_it_lives(async move { drop(engine.submit(submission).await) }).await?;
                        has_helped = true;
                    }
                }
            }
            let is_quiet = !is_any_open
                && self.machine.living().is_empty()
                && self.ledger.busy_keys().is_empty()
                && self.ledger.busy_counters().is_empty();
            if is_quiet && (!self.listens() || self.outside().await.unhandled().is_empty()) {
                self.while_it_lives(tokio::time::sleep(Duration::from_secs(5))).await?;
                if self.machine.living().is_empty() && self.store.last_position() == position {
                    return Ok(());
                }
            }
            let now = self.store.last_position();
            still = if now == position { still + 1 } else { 0 };
            position = now;
            if still > STILL_MAX {
                return Err(self.stuck().await);
            }
            let pause = match (has_helped, still) {
                (true, 0) => 20,
                (_, 0..20) => 1_000,
                _ => 600_000,
            };
            self.while_it_lives(tokio::time::sleep(Duration::from_millis(pause))).await?;
        }
        Err(format!("after {TURNS_MAX} turns: {}", self.stuck().await))
    }

    /// Somebody sees to the runs that are set aside.
    async fn see_to_set_aside(&mut self) -> Result<(), String> {
        for (run, _) in self.engine.set_aside() {
            let engine = self.engine.clone();
            self.while_it_lives(async move { drop(engine.recover(Which::Only(run)).await) }).await?;
        }
        Ok(())
    }

    async fn stuck(&mut self) -> String {
        let mut told = vec!["starvation: the world is quiet, and not everything has ended".to_owned()];
        for run in self.runs().await {
            match self.look(run).await {
                Ok(Some(Ok(state))) if state.is_ended() => {
                    let effects = effects(&state);
                    if !effects.is_empty() {
                        told.push(format!("{run} has ended, and wants {effects:?}"));
                    }
                }
                Ok(Some(Ok(state))) => {
                    let awaited = state.awaited();
                    let effects = effects(&state);
                    told.push(format!("{run} is {}, awaits {awaited:?}, wants {effects:?}", state.status()));
                }
                Ok(Some(Err(error))) => told.push(format!("{run}: {error}")),
                Ok(None) => told.push(format!("{run}: the engine died")),
                Err(error) => told.push(error),
            }
        }
        told.push(format!("at work: {:?}", self.ledger.at_work()));
        told.push(format!("keys in use: {:?}", self.ledger.busy_keys()));
        told.push(format!("counters that keep something free: {:?}", self.ledger.busy_counters()));
        told.push(format!("not handled: {:?}", self.outside().await.unhandled()));
        told.push(format!("set aside: {:?}", self.engine.set_aside()));
        told.join("\n  ")
    }
}

/// Whoever looks at a run that has not ended sees what goes on in it, or what it awaits.
fn names_what_it_awaits(run: RunId, state: &RunState) -> Result<(), String> {
    let is_telling = |effect: &Effect| matches!(effect, Effect::Notice { .. } | Effect::SpendReport { .. });
    let goes_on = || effects(state).iter().any(|effect| !is_telling(effect));
    match state.is_ended() || !state.awaited().is_empty() || goes_on() {
        true => Ok(()),
        false => Err(format!("silence: {run} is {}, and says nothing of what it awaits", state.status())),
    }
}

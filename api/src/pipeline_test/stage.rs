//! An engine over a store in memory, with stubs for everything outside, and the player that lets virtual time go on.
//!
//! Law: a run is played until it has ended, or nothing but people, signals and reminders is awaited, or its time is
//! over; each of them is found by what the runs list as outstanding.
#![allow(
    clippy::disallowed_methods,
    reason = "virtual time comes from the paused runtime, and the limit of playing is of this machine"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use everfold_engine::actor::Actor;
use everfold_engine::clock::Clock;
use everfold_engine::data_folder::Layout;
use everfold_engine::definition::case::CaseStubs;
use everfold_engine::definition::{Definition, ExecutorTask, Work};
use everfold_engine::driver::{Blocking, Engine, EngineConfig, OrderConfig, StartError, StartRequest};
use everfold_engine::effect::Effect;
use everfold_engine::event::{self, RunEvent, TimerKind};
use everfold_engine::execution::Edge;
use everfold_engine::id::{Position, RunId};
use everfold_engine::input::StartOptions;
use everfold_engine::state::{RunState, effects};
use everfold_engine::store::{BlobStore, Subscription};
use everfold_engine::time::Timestamp;
use everfold_workflows::function::Functions;
use everfold_workflows::process::{Processes, ShimProgram};

use super::child_pipelines::CasePipeline;
use super::outcome::CaseEvent;
use super::people::CasePeople;
use super::stub_ports::edge;
use super::volunteers::Volunteers;
use super::world::{CaseWorld, MadeUp};
use crate::settings::Settings;
use crate::virtual_time::{seeded, virtual_clock};

/// The virtual time of a run that is played without a limit of its own.
pub(super) const UNTIL: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Events of one run with its children; more are a loop.
const EVENTS_MAX: usize = 10_000;
/// The folder that the engine believes to have; it is never made.
pub(super) const FOLDER: &str = "/everfold-case";
/// The player takes a run to stand still after so many looks, a millisecond apart, between which the engine recorded no
/// event. One is too few: it does not know a child run that begins in the same millisecond.
const STILL_LOOKS: u8 = 3;
/// How long what a run left behind (notices) is waited for after its end.
const AFTER_END: Duration = Duration::from_secs(1);
/// The longest sleep of the engine: nothing sets a virtual clock. Below what a timer of the runtime takes at once.
const SLEEP_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Slots of each resource that a pipeline names.
const RESOURCE_SLOTS: usize = 1_024;

/// What is played, and by what it is answered.
pub(super) struct Play<'a> {
    pub(super) pipeline: CasePipeline,
    pub(super) stubs: CaseStubs,
    /// What work gives that has no stub; `None`: such work ends the play.
    pub(super) made_up: Option<MadeUp>,
    /// Without settings no name of a profile or function is refused.
    pub(super) settings: Option<&'a Settings>,
    /// Ids and jitter follow from it.
    pub(super) seed: &'a str,
    /// When the run starts.
    pub(super) at: Timestamp,
    /// The longest time that playing may take on this machine.
    pub(super) real_time: Option<Duration>,
}

/// The engine and the world round it.
pub(super) struct CaseStage {
    pub(super) engine: Engine,
    pub(super) world: Arc<CaseWorld>,
    pub(super) definition: Arc<Definition>,
    pub(super) at: Timestamp,
    clock: Clock,
    log: Box<dyn Subscription>,
    real_time: Option<Duration>,
}

impl CaseStage {
    /// An engine for what is played.
    pub(super) fn set(play: Play<'_>) -> Self {
        let Play { pipeline, stubs, made_up, settings, seed, at, real_time } = play;
        let is_dry = made_up.is_some();
        let clock = virtual_clock(at);
        let world = CaseWorld::new(clock.clone(), stubs, made_up);
        let layout = Layout::new(FOLDER);
        let resources = match settings.filter(|_| is_dry) {
            Some(settings) => settings.resources.clone(),
            None => named_resources(&pipeline),
        };
        let config = EngineConfig {
            shards: 1,
            order: OrderConfig { resources, ..OrderConfig::default() },
            clock: clock.clone(),
            sleep_max: SLEEP_MAX,
            chance: seeded(seed),
            blocking: Blocking::Inline,
            ..EngineConfig::default()
        };
        let real = real_ports(&layout, settings);
        let ports = edge(&world, &real, settings.is_some(), &layout, pipeline.children);
        let engine = Engine::open(config, world.store.clone(), world.blobs.clone(), layout, ports);
        let log = engine.subscribe(Position::FIRST);
        Self { engine, world, definition: pipeline.definition, at, clock, log, real_time }
    }

    /// Starts the run.
    ///
    /// # Errors
    /// What ended the play before; within it the refusal of the start.
    pub(super) async fn start(
        &self,
        options: StartOptions,
        by: &str,
    ) -> Result<Result<RunId, StartError>, String> {
        let request = StartRequest::new(Arc::clone(&self.definition), options, Actor::User(by.to_owned()));
        tokio::select! {
            biased;
            started = self.engine.start(request) => Ok(started.map(|started| started.run)),
            () = cut_off(&self.world) => Err(self.world.fault().unwrap_or_default()),
        }
    }

    /// Plays the run; gives what happened. Where it was cut off, the world says why.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) async fn play(
        &mut self,
        root: RunId,
        people: &mut CasePeople<'_>,
        mut volunteers: Option<&mut Volunteers>,
        until: Option<Duration>,
    ) -> Result<Vec<CaseEvent>, String> {
        // Of this machine: a stopwatch of the engine measures virtual time here.
        let begun = Instant::now();
        let mut limit = self.at.plus(until.unwrap_or(UNTIL));
        let (mut events, mut runs, mut still_looks) = (Vec::new(), BTreeSet::new(), 0);
        let mut cut_off = std::pin::pin!(cut_off(&self.world));
        loop {
            let due = people.next().await;
            let now = (self.clock)();
            let act_at = due.as_ref().map_or(limit, |(at, _)| (*at).min(limit));
            tokio::select! {
                biased;
                batch = self.log.next() => {
                    let batch = batch.map_err(|error| format!("the log of the case cannot be read: {error}"))?;
                    still_looks = 0;
                    for envelope in batch {
                        let header = &envelope.header;
                        let Some(run) = header.stream.as_run() else { continue };
                        let event = event::decode(header.kind, header.schema, &envelope.payload)
                            .map_err(|error| format!("an event of the case cannot be read: {error}"))?;
                        runs.insert(run);
                        people.note(run, &event, header.recorded_at);
                        if let Some(volunteers) = &mut volunteers {
                            volunteers.note(run, &event);
                        }
                        if run == root && ends(&event) {
                            limit = limit.min(header.recorded_at.plus(AFTER_END));
                        }
                        events.push(CaseEvent { run, is_root: run == root, at_ms: header.recorded_at.0 - self.at.0, event });
                    }
                    if let Err(why) = self.bound(events.len(), begun) {
                        self.world.fail(why);
                        break;
                    }
                }
                () = &mut cut_off => break,
                // All that can be done at this moment is done when the clock goes on.
                () = tokio::time::sleep(Duration::from_millis(1)), if still_looks < STILL_LOOKS => {
                    still_looks += 1;
                    if due.is_none()
                        && let Some(volunteers) = &mut volunteers
                        && volunteers.act(&self.engine, &runs).await
                    {
                        still_looks = 0;
                    } else if still_looks == STILL_LOOKS && due.is_none() && !is_busy(&self.engine, &runs, until.is_some()).await {
                        break;
                    }
                }
                () = sleep_until(now, act_at) => match due {
                    Some((at, act)) if at <= limit => people.act(&self.engine, act).await,
                    _nothing => break,
                },
            }
        }
        Ok(events)
    }

    /// # Errors
    /// The play is too long for a case or for this machine.
    fn bound(&self, events: usize, begun: Instant) -> Result<(), String> {
        if events > EVENTS_MAX {
            return Err(match self.real_time {
                None => format!(
                    "the case has over {EVENTS_MAX} events: a loop without an end, or `until` is missing"
                ),
                Some(_) => format!(
                    "over {EVENTS_MAX} events: the run goes on without an end, or is too long to be played"
                ),
            });
        }
        match self.real_time {
            Some(limit) if begun.elapsed() > limit => {
                Err(format!("playing takes longer than {} seconds", limit.as_secs()))
            }
            _within => Ok(()),
        }
    }
}

/// Resolves when something ended the case and the engine has done what it does at that moment; otherwise the order in
/// which the runtime polls its tasks would decide how much of it the story tells.
async fn cut_off(world: &CaseWorld) {
    world.failed().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The resources that a pipeline and its children name, with more slots than are asked for.
fn named_resources(pipeline: &CasePipeline) -> BTreeMap<String, usize> {
    let all = pipeline.children.values().chain([&pipeline.definition]);
    let steps = all.flat_map(|definition| definition.steps.iter().chain(&definition.on_finish));
    steps.flat_map(|step| &step.resources).map(|name| (name.clone(), RESOURCE_SLOTS)).collect()
}

fn sleep_until(now: Timestamp, at: Timestamp) -> impl Future<Output = ()> {
    tokio::time::sleep(Duration::from_millis(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0)))
}

fn ends(event: &RunEvent) -> bool {
    matches!(event, RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_))
}

/// Whether anything but people and signals is outstanding in a run; reminders count where the case says how long it
/// goes on.
async fn is_busy(engine: &Engine, runs: &BTreeSet<RunId>, reminders: bool) -> bool {
    for run in runs {
        let busy = engine
            .with_state(*run, move |state| {
                effects(state).iter().any(|effect| counts(state, effect, reminders))
            })
            .await;
        if busy.unwrap_or(false) {
            return true;
        }
    }
    false
}

/// A reminder asks people again; a child run is looked at itself.
fn counts(state: &RunState, effect: &Effect, reminders: bool) -> bool {
    match effect {
        Effect::Timer { timer, .. } => reminders || timer.kind != TimerKind::Reminder,
        Effect::Attempt { id, started: true } => {
            let step = state.step(&id.path.step).map(|(step, _)| &step.work);
            !matches!(step, Some(Some(Work::Task(task))) if task.kind == ExecutorTask::RUN)
        }
        _outstanding => true,
    }
}

/// The real ports, which are asked what work calls upon and costs, and never to do it.
fn real_ports(layout: &Layout, settings: Option<&Settings>) -> Edge {
    let blobs = Arc::new(BlobStore::new(layout.root()));
    let program = ShimProgram::at(Path::new("everfold"));
    let settings = settings.map_or_else(|| Settings::default().workflows(), Settings::workflows);
    let processes = Processes::new(program, blobs, Arc::new(settings));
    everfold_workflows::edge(layout, &processes, Functions::built_in(), None)
}

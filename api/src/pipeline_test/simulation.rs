//! One case, played by the real engine in virtual time.
//!
//! Law: the case goes on until its run has ended, or nothing but people, signals and reminders is awaited, or its time
//! is over; each of them is found by what the runs list as outstanding.
#![allow(clippy::disallowed_methods, reason = "virtual time comes from the paused runtime")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::clock::{Chance, Clock, Stopwatch};
use everfold_engine::data_folder::Layout;
use everfold_engine::definition::case::PipelineCase;
use everfold_engine::definition::{Definition, ExecutorTask, Work};
use everfold_engine::driver::{Blocking, Engine, EngineConfig, OrderConfig, StartError, StartRequest};
use everfold_engine::effect::Effect;
use everfold_engine::event::{self, RunEvent, TimerKind};
use everfold_engine::execution::Edge;
use everfold_engine::id::{Position, RunId};
use everfold_engine::input::StartOptions;
use everfold_engine::json::{Hash, JsonText};
use everfold_engine::state::{RunState, effects};
use everfold_engine::store::BlobStore;
use everfold_engine::time::Timestamp;
use everfold_workflows::function::Functions;
use everfold_workflows::process::{Processes, ShimProgram};

use super::child_pipelines::CasePipeline;
use super::compare_outcome::differences;
use super::coverage::PipelineCoverage;
use super::outcome::{CaseEnd, CaseEvent, CaseOutcome, story};
use super::people::CasePeople;
use super::stub_ports::edge;
use super::verdict::{CaseDifference, CaseVerdict};
use super::world::CaseWorld;
use crate::settings::Settings;

/// When runs start whose case names no time.
const START: Timestamp = Timestamp(1_767_603_600_000); // 2026-01-05T09:00:00Z, a Monday
/// The virtual time of a case that names none.
const UNTIL: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Events of one case; more are a loop.
const EVENTS_MAX: usize = 10_000;
/// The folder that a case's engine believes to have; it is never made.
const FOLDER: &str = "/everfold-case";
/// The player takes a case to stand still after so many looks, a millisecond apart, between which the engine recorded no
/// event. One is too few: it does not know a child run that begins in the same millisecond.
const STILL_LOOKS: u8 = 3;
/// How long what a run left behind (notices) is waited for after its end.
const AFTER_END: Duration = Duration::from_secs(1);
/// Slots of each resource that a pipeline names.
const RESOURCE_SLOTS: usize = 1_024;

/// Plays a case of a pipeline with these settings; without any, no name of a profile or function is refused.
#[must_use]
pub fn simulate(definition: &Definition, settings: Option<&Settings>, case: &PipelineCase) -> CaseVerdict {
    let watch = Stopwatch::start();
    // On a thread of its own: the caller may stand in a runtime, whose time is real.
    let played =
        std::thread::scope(|scope| scope.spawn(|| in_virtual_time(definition, settings, case)).join());
    let played = played.unwrap_or_else(|_panic| Err("the engine panicked: a bug of Everfold".to_owned()));
    let mut verdict = CaseVerdict {
        name: case.name.clone(),
        line: case.line,
        passed: false,
        fault: None,
        differences: Vec::new(),
        status: None,
        story: Vec::new(),
        virtual_ms: 0,
        took_us: 0,
        coverage: PipelineCoverage::of(definition),
    };
    match played {
        Err(fault) => verdict.fault = Some(fault),
        Ok(played) => {
            let own: Vec<&RunEvent> =
                played.events.iter().filter(|seen| seen.is_root).map(|seen| &seen.event).collect();
            verdict.coverage.note(definition, &own);
            verdict.story = story(&played.events);
            verdict.virtual_ms = played.virtual_ms;
            verdict.status = played.outcome.as_ref().map(CaseOutcome::status);
            verdict.differences = played.differences;
            verdict.fault = played.fault;
        }
    }
    verdict.passed = verdict.fault.is_none() && verdict.differences.is_empty();
    verdict.took_us = u64::try_from(watch.elapsed().as_micros()).unwrap_or(u64::MAX);
    verdict
}

fn in_virtual_time(
    definition: &Definition,
    settings: Option<&Settings>,
    case: &PipelineCase,
) -> Result<Played, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| format!("the runtime could not be started: {error}"))?;
    runtime.block_on(play(definition, settings, case))
}

struct Played {
    events: Vec<CaseEvent>,
    outcome: Option<CaseOutcome>,
    differences: Vec<CaseDifference>,
    fault: Option<String>,
    virtual_ms: i64,
}

async fn play(
    definition: &Definition,
    settings: Option<&Settings>,
    case: &PipelineCase,
) -> Result<Played, String> {
    let start = case.at.unwrap_or(START);
    let clock = virtual_clock(start);
    let pipeline = CasePipeline::new(definition, &case.stubs, &case.config)?;
    let world = CaseWorld::new(clock.clone(), case.stubs.clone());
    let layout = Layout::new(FOLDER);
    let all = pipeline.children.values().chain([&pipeline.definition]);
    let resources = all.flat_map(|definition| definition.steps.iter().chain(&definition.on_finish));
    let resources = resources.flat_map(|step| &step.resources).map(|name| (name.clone(), RESOURCE_SLOTS));
    let config = EngineConfig {
        shards: 1,
        order: OrderConfig { resources: resources.collect(), ..OrderConfig::default() },
        clock: clock.clone(),
        chance: seeded(&case.name),
        blocking: Blocking::Inline,
        ..EngineConfig::default()
    };
    let real = real_ports(&layout, settings);
    let ports = edge(&world, &real, settings.is_some(), &layout, pipeline.children);
    let engine = Engine::open(config, world.store.clone(), world.blobs.clone(), layout, ports);
    let mut log = engine.subscribe(Position::FIRST);
    let options = StartOptions {
        title: case.title.clone(),
        labels: case.labels.clone(),
        cwd: Some(format!("{FOLDER}/work")),
        ..StartOptions::new(JsonText::new(&case.input))
    };
    let request = StartRequest::new(Arc::clone(&pipeline.definition), options, Actor::User(case.by.clone()));
    let started = tokio::select! {
        started = engine.start(request) => started,
        () = world.failed() => return Err(world.fault().unwrap_or_default()),
    };
    let root = match started {
        Ok(started) => started.run,
        Err(StartError::Refused(refusal)) => {
            let end = CaseEnd::Refused { code: refusal.code().to_owned(), message: refusal.to_string() };
            let differences = differences(&case.expect, &end);
            return Ok(Played { events: Vec::new(), outcome: None, differences, fault: None, virtual_ms: 0 });
        }
        Err(other) => return Err(format!("the run cannot start: {other}")),
    };
    let mut people = CasePeople::new(case, &world, root, start);
    let mut limit = start.plus(case.until.unwrap_or(UNTIL));
    let (mut events, mut runs, mut still_looks) = (Vec::new(), BTreeSet::new(), 0);
    loop {
        let due = people.next().await;
        let now = clock();
        let sleep_until = |at: Timestamp| tokio::time::sleep(since(now, at));
        let act_at = due.as_ref().map_or(limit, |(at, _)| (*at).min(limit));
        tokio::select! {
            biased;
            batch = log.next() => {
                let batch = batch.map_err(|error| format!("the log of the case cannot be read: {error}"))?;
                still_looks = 0;
                for envelope in batch {
                    let header = &envelope.header;
                    let Some(run) = header.stream.as_run() else { continue };
                    let event = event::decode(header.kind, header.schema, &envelope.payload)
                        .map_err(|error| format!("an event of the case cannot be read: {error}"))?;
                    runs.insert(run);
                    people.note(run, &event, header.recorded_at);
                    if run == root && ends(&event) {
                        limit = limit.min(header.recorded_at.plus(AFTER_END));
                    }
                    events.push(CaseEvent { run, is_root: run == root, at_ms: header.recorded_at.0 - start.0, event });
                }
                if events.len() > EVENTS_MAX {
                    world.fail(format!("the case has over {EVENTS_MAX} events: a loop without an end, or `until` is missing"));
                }
            }
            () = world.failed() => break,
            // All that can be done at this moment is done when the clock goes on.
            () = tokio::time::sleep(Duration::from_millis(1)), if still_looks < STILL_LOOKS => {
                still_looks += 1;
                if still_looks == STILL_LOOKS && due.is_none() && !is_busy(&engine, &runs).await {
                    break;
                }
            }
            () = sleep_until(act_at) => match due {
                Some((at, act)) if at <= limit => people.act(&engine, act).await,
                _nothing => break,
            },
        }
    }
    let fault = world.fault();
    let outcome = CaseOutcome::of(&engine, &world, root, &events).await?;
    let mut differences = match fault {
        // What came of a run that was cut off says nothing.
        Some(_) => Vec::new(),
        None => differences(&case.expect, &CaseEnd::Ran(&outcome)),
    };
    if fault.is_none() {
        differences.extend(people.left().into_iter().map(|what| CaseDifference {
            path: what,
            expected: Some(true.into()),
            actual: Some(false.into()),
        }));
    }
    let virtual_ms = events.iter().map(|seen| seen.at_ms).max().unwrap_or(0);
    Ok(Played { events, outcome: Some(outcome), differences, fault, virtual_ms })
}

fn since(now: Timestamp, at: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0))
}

fn ends(event: &RunEvent) -> bool {
    matches!(event, RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_))
}

/// Whether anything but people, signals and reminders is outstanding in a run.
async fn is_busy(engine: &Engine, runs: &BTreeSet<RunId>) -> bool {
    for run in runs {
        let busy =
            engine.with_state(*run, |state| effects(state).iter().any(|effect| counts(state, effect))).await;
        if busy.unwrap_or(false) {
            return true;
        }
    }
    false
}

/// A reminder asks people again; a child run is looked at itself.
fn counts(state: &RunState, effect: &Effect) -> bool {
    match effect {
        Effect::Timer { timer, .. } => timer.kind != TimerKind::Reminder,
        Effect::Attempt { id, started: true } => {
            let step = state.step(&id.path.step).map(|(step, _)| &step.work);
            !matches!(step, Some(Some(Work::Task(task))) if task.kind == ExecutorTask::RUN)
        }
        _outstanding => true,
    }
}

/// The calendar of the paused runtime.
fn virtual_clock(start: Timestamp) -> Clock {
    let begun = tokio::time::Instant::now();
    Arc::new(move || start.plus(begun.elapsed()))
}

/// Ids and jitter that follow from a text.
fn seeded(seed: &str) -> Chance {
    let (seed, count) = (seed.to_owned(), AtomicU64::new(0));
    Arc::new(move || {
        let count = count.fetch_add(1, Ordering::Relaxed);
        let Hash(bytes) = Hash::of(format!("{seed}/{count}").as_bytes());
        bytes.iter().take(16).fold(0_u128, |number, byte| (number << 8) | u128::from(*byte))
    })
}

/// The real ports, which are asked what work calls upon and costs, and never to do it.
fn real_ports(layout: &Layout, settings: Option<&Settings>) -> Edge {
    let blobs = Arc::new(BlobStore::new(layout.root()));
    let program = ShimProgram::at(Path::new("everfold"));
    let settings = settings.map_or_else(|| Settings::default().workflows(), Settings::workflows);
    let processes = Processes::new(program, blobs, Arc::new(settings));
    everfold_workflows::edge(layout, &processes, Functions::built_in(), None)
}

//! Deliveries and moments: what is brought, who looks at the clock, and what must have come of it.
//!
//! Laws (L28, T, S9): whatever dies or fails in between, a delivery and a moment are handled once each, a
//! run is started for one at most once, a run is signalled for one at most once, and nothing is left unhandled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::definition::Schedule;
use everfold_engine::driver::{
    By, Engine, HookError, NewSchedule, ScheduleError, ScheduleRecord, ScheduleUpdate,
};
use everfold_engine::envelope::{Envelope, StreamKind, flag};
use everfold_engine::event::{self, RunEvent};
use everfold_engine::hooks::{DeliveryReceived, HookEvent};
use everfold_engine::id::{RunId, Version};
use everfold_engine::json::JsonText;
use everfold_engine::schedules::{ScheduleEvent, ScheduleOrigin};
use everfold_engine::triggers::{Outcome, SignalEffect, signal_effect};
use serde_json::json;

use super::plan::{SOURCE, ScriptedAct};
use super::play::{Asked, DONE, again, once};

/// How often the scheduler looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The schedule that people add and remove.
const TICK: &str = "tick";

/// Looks at the clock, as `serve` does.
pub async fn look_at_clock(engine: Engine) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        engine.look_at_clock().await;
    }
}

/// A delivery; of few names, so that the same comes again.
pub fn delivery(luck: u8) -> DeliveryReceived {
    DeliveryReceived {
        id: format!("d{}", luck % 24),
        name: None,
        sender: Some("bob".to_owned()),
        headers: BTreeMap::new(),
        body: JsonText::new(&json!({"n": luck % 3, "text": "x".repeat(usize::from(luck) * 9)})),
        about: JsonText::null(),
    }
}

/// Brings it once.
pub async fn deliver(engine: Engine, delivery: DeliveryReceived) -> Asked {
    match engine.deliver(SOURCE, delivery).await {
        Ok(_) => DONE,
        Err(error @ (HookError::Store(_) | HookError::ShuttingDown)) => again(error),
        Err(error) => Err(format!("deliver: {error}")),
    }
}

/// Has one of the deliveries handled once more.
pub async fn redeliver(engine: Engine, at: usize, act: ScriptedAct) -> Asked {
    let by = By { actor: Actor::User("ada".into()), dedup: once(&format!("redeliver {at}")) };
    let known = match engine.deliveries(SOURCE, None, 100).await {
        Ok(known) if known.is_empty() => return DONE,
        Ok(known) => known,
        Err(error) => return again(error),
    };
    match engine.redeliver(act.pick.get(&known), by).await {
        Ok(_) | Err(HookError::BeingHandled) => DONE,
        Err(error @ (HookError::Store(_) | HookError::ShuttingDown)) => again(error),
        Err(error) => Err(format!("redeliver: {error}")),
    }
}

/// A user adds, removes, pauses, resumes or triggers a schedule.
pub async fn schedule(engine: Engine, at: usize, act: ScriptedAct) -> Asked {
    let by = By { actor: Actor::User("ada".into()), dedup: once(&format!("schedule {at}")) };
    let done = match act.luck % 6 {
        0 => {
            let schedule: Schedule = serde_json::from_value(json!({"every": "2m"})).unwrap();
            let input = JsonText::new(&json!({"n": 1}));
            let origin = ScheduleOrigin::Added { pipeline: "other".into(), input, title: None };
            engine.add_schedule(NewSchedule { name: TICK.into(), schedule, origin }, by).await.map(drop)
        }
        1 => engine.remove_schedule(TICK, None, by).await.map(drop),
        kind => match engine.schedules().await {
            Ok(known) if known.is_empty() => Ok(()),
            Ok(known) => {
                let name = act.pick.get(&known).name.clone();
                match kind {
                    5 => update(&engine, known.into_iter().find(|it| it.name == TICK), by).await,
                    2 => engine.pause_schedule(&name, true, None, by).await.map(drop),
                    3 => engine.pause_schedule(&name, false, None, by).await.map(drop),
                    _ => engine.trigger_schedule(&name, by).await.map(drop),
                }
            }
            Err(error) => Err(error),
        },
    };
    taken(done)
}

/// Other moments for the schedule that people added, where there is one.
async fn update(engine: &Engine, known: Option<ScheduleRecord>, by: By) -> Result<(), ScheduleError> {
    let Some(ScheduleRecord { name, schedule: Some(schedule), origin, .. }) = known else { return Ok(()) };
    let seen = NewSchedule { name, schedule, origin: origin.clone() };
    let schedule = serde_json::from_value(json!({"every": "90s", "anchor": "added"})).unwrap();
    engine.update_schedule(ScheduleUpdate { seen, schedule, origin }, by).await.map(drop)
}

fn taken(done: Result<(), ScheduleError>) -> Asked {
    match done {
        Err(error @ (ScheduleError::Store(_) | ScheduleError::ShuttingDown)) => again(error),
        Err(ScheduleError::Bad(error)) => Err(format!("schedule: {error}")),
        Ok(()) | Err(_) => DONE,
    }
}

/// From here on no moments come: what has come is followed to its end.
pub async fn stop_schedules(engine: Engine) -> Asked {
    let known = match engine.schedules().await {
        Ok(known) => known,
        Err(error) => return again(error),
    };
    for schedule in known {
        let paused = engine.pause_schedule(&schedule.name, true, None, Actor::User("ada".into())).await;
        if let Err(error) = taken(paused.map(drop))? {
            return again(error);
        }
    }
    DONE
}

/// What came and what was made of it, over the whole log.
#[derive(Debug, Default)]
pub struct TriggerRecord {
    /// What came and was not handled: deliveries with their turn, moments.
    open: BTreeSet<(String, Version, u32)>,
    /// The deliveries that were taken, as their senders call them.
    taken: BTreeSet<(String, String)>,
    /// What each handled one led to.
    outcomes: Vec<(String, Outcome)>,
    count: usize,
    violations: Vec<String>,
}

impl TriggerRecord {
    /// Reads the log.
    pub fn of(log: &[std::sync::Arc<Envelope>]) -> Self {
        let mut found = Self::default();
        for envelope in log {
            let header = &envelope.header;
            let stream = header.stream.to_string();
            match header.stream.kind {
                StreamKind::Hook => match HookEvent::decode(header.kind, header.schema, &envelope.payload) {
                    Ok(event) => found.of_hook(stream, header.version, event),
                    Err(error) => found.violations.push(format!("unreadable: {error}")),
                },
                StreamKind::Schedule => {
                    match ScheduleEvent::decode(header.kind, header.schema, &envelope.payload) {
                        Ok(event) => found.of_schedule(stream, header.version, event),
                        Err(error) => found.violations.push(format!("unreadable: {error}")),
                    }
                }
                StreamKind::Run | StreamKind::Key | StreamKind::Engine | StreamKind::Budget => {}
            }
        }
        found
    }

    fn came(&mut self, stream: String, version: Version, nth: u32) {
        self.count += 1;
        if !self.open.insert((stream.clone(), version, nth)) {
            self.violations.push(format!("{stream} {version} came twice for its turn {nth}"));
        }
    }

    fn handled(&mut self, stream: &str, version: Version, nth: u32) {
        if !self.open.remove(&(stream.to_owned(), version, nth)) {
            self.violations.push(format!("{stream} {version} was handled twice, or never came (turn {nth})"));
        }
    }

    fn of_hook(&mut self, stream: String, version: Version, event: HookEvent) {
        match event {
            HookEvent::DeliveryReceived(event) => {
                if !self.taken.insert((stream.clone(), event.id.clone())) {
                    self.violations.push(format!("{stream}: {} was taken twice", event.id));
                }
                self.came(stream, version, 1);
            }
            HookEvent::RedeliveryAsked(event) => self.came(stream, event.delivery, event.nth),
            HookEvent::DeliveryHandled(event) => {
                self.handled(&stream, event.delivery, event.nth);
                let led = event.outcomes.into_iter().map(|led| (stream.clone(), led.outcome));
                self.outcomes.extend(led);
            }
            HookEvent::ParkedSettled(event) => self.outcomes.push((stream, event.outcome)),
            HookEvent::SignalMeant(_) => {}
        }
    }

    fn of_schedule(&mut self, stream: String, version: Version, event: ScheduleEvent) {
        match event {
            ScheduleEvent::TickDue(_) => self.came(stream, version, 1),
            ScheduleEvent::TickSettled(event) => {
                self.handled(&stream, event.tick, 1);
                self.outcomes.push((stream, event.outcome));
            }
            ScheduleEvent::ScheduleSet(_)
            | ScheduleEvent::ScheduleRemoved(_)
            | ScheduleEvent::SchedulePaused(_)
            | ScheduleEvent::ScheduleResumed(_)
            | ScheduleEvent::TicksPassed(_)
            | ScheduleEvent::ClockSetBack(_)
            | ScheduleEvent::TickMeant(_)
            | ScheduleEvent::RunsCancelMeant(_)
            | ScheduleEvent::RunsCancelSettled(_) => {}
        }
    }

    /// How many deliveries and moments there were.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What came and is not handled.
    pub fn unhandled(&self) -> Vec<String> {
        self.open.iter().map(|(stream, version, nth)| format!("{stream} {version} ({nth})")).collect()
    }

    /// Compares what was made of it with what happened to runs.
    pub fn check(mut self, log: &[std::sync::Arc<Envelope>]) -> Result<(), String> {
        if let Some(open) = self.unhandled().first() {
            return Err(format!("outside: {open} is not handled"));
        }
        let (mut begun, mut received, mut ended) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        // A signal that leads to nothing is recorded, and does not count as received.
        let mut batches: BTreeMap<_, Vec<RunEvent>> = BTreeMap::new();
        for envelope in log.iter().filter(|envelope| envelope.header.stream.kind == StreamKind::Run) {
            let header = &envelope.header;
            let place = (header.stream.clone(), header.cause.input, header.cause.because);
            if RunEvent::ends_run(header.kind) {
                ended.extend(header.stream.as_run());
            }
            if let Ok(event) = event::decode(header.kind, header.schema, &envelope.payload) {
                batches.entry(place).or_default().push(event);
            }
        }
        let effect = |envelope: &Envelope| {
            let header = &envelope.header;
            let place = (header.stream.clone(), header.cause.input, header.cause.because);
            batches.get(&place).map_or(SignalEffect::NotTaken, signal_effect)
        };
        for envelope in log.iter().filter(|envelope| envelope.header.flags & flag::COPIED == 0) {
            let header = &envelope.header;
            let (Some(run), Actor::Hook(_) | Actor::Schedule(_)) = (header.stream.as_run(), &header.actor)
            else {
                continue;
            };
            match event::decode(header.kind, header.schema, &envelope.payload) {
                Ok(RunEvent::RunStarted(_)) => drop(begun.insert(run)),
                Ok(RunEvent::SignalReceived(event)) if is_ours(event.delivery.as_deref()) => {
                    let known = received.entry((run, event.name, event.delivery)).or_insert((0, None));
                    known.0 += 1;
                    known.1 = known.1.take().or(match effect(envelope) {
                        SignalEffect::NotTaken | SignalEffect::Ignored(..) | SignalEffect::Refused(_) => None,
                        taken => Some(taken),
                    });
                }
                _other => {}
            }
        }
        let mut started = BTreeSet::new();
        let mut signalled: BTreeMap<(RunId, String), usize> = BTreeMap::new();
        let mut parked = BTreeSet::new();
        for (stream, outcome) in &self.outcomes {
            match outcome {
                Outcome::Started { run } if !started.insert(*run) => {
                    self.violations.push(format!("{stream} started {run} for the second time"));
                }
                Outcome::Signalled { signal, runs }
                | Outcome::Deferred { signal, runs }
                | Outcome::Kept { signal, runs } => {
                    for run in runs {
                        *signalled.entry((*run, signal.clone())).or_default() += 1;
                    }
                }
                Outcome::Parked { signal, .. } => drop(parked.insert(signal.clone())),
                _other => {}
            }
        }
        if begun != started {
            let odd: Vec<_> = begun.symmetric_difference(&started).collect();
            self.violations.push(format!("began or was said to begin, not both: {odd:?}"));
        }
        let mut hearers: BTreeMap<(RunId, String), usize> = BTreeMap::new();
        // A signal that may wait, and that an ended run kept and did not follow, goes to the next run.
        let mut left: BTreeMap<(RunId, String), usize> = BTreeMap::new();
        for ((run, signal, delivery), (times, taken)) in received {
            if times > 1 {
                self.violations.push(format!("{run} got {signal} of {delivery:?} {times} times"));
            }
            let Some(effect) = taken else { continue };
            if effect == SignalEffect::Kept && ended.contains(&run) && parked.contains(&signal) {
                *left.entry((run, signal.clone())).or_default() += 1;
            }
            *hearers.entry((run, signal)).or_default() += 1;
        }
        let is_told = |place: &(RunId, String)| {
            let [heard, told, left] =
                [&hearers, &signalled, &left].map(|of| of.get(place).copied().unwrap_or(0));
            told <= heard && heard <= told + left
        };
        if !hearers.keys().chain(signalled.keys()).all(is_told) {
            let said = format!("signalled {hearers:?}, said to be signalled {signalled:?}, left {left:?}");
            self.violations.push(said);
        }
        self.violations.first().map_or(Ok(()), |what| Err(format!("outside: {what}")))
    }
}

/// People of the plans call their deliveries otherwise.
fn is_ours(delivery: Option<&str>) -> bool {
    delivery.is_some_and(|delivery| delivery.contains('/'))
}

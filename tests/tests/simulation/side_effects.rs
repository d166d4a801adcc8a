//! What is durable, and what goes on in the world, side by side: the laws between the two.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use everfold_engine::budgets::{Counter, CounterEvent};
use everfold_engine::definition::{Definition, Step, Work};
use everfold_engine::envelope::{NewEvent, StreamId, StreamKind};
use everfold_engine::event::{self, BudgetTerms, RunEvent, WantedSlot};
use everfold_engine::execution::{NoticeRequest, ProbeRequest};
use everfold_engine::id::{AttemptId, EffectId, RunId, StepId, StepPath, Version};
use everfold_engine::json::Hash;
use everfold_engine::slots::{self, SlotEvent, SlotState};
use everfold_engine::time::Timestamp;

use super::plan::Bounds;

/// Where work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Supervised,
    InProcess,
    /// With a worker.
    Elsewhere,
}

/// A resource of which there is one.
pub const LAMP: &str = "lamp";

/// What the steps of a definition must have before their work begins.
#[derive(Default)]
pub struct Needs {
    /// They hold the lamp.
    lamp: BTreeSet<StepId>,
    /// They are paid work under a budget.
    funds: BTreeSet<StepId>,
}

impl Needs {
    /// Of the steps of a definition.
    pub fn of(definition: &Definition) -> Self {
        let steps = |has: &dyn Fn(&Step) -> bool| {
            definition.steps.iter().filter(|step| has(step)).map(|step| step.id.clone()).collect()
        };
        let is_agent = |step: &Step| matches!(&step.work, Some(Work::Task(task)) if task.kind == "agent");
        Self {
            lamp: steps(&|step| step.resources.iter().any(|name| name == LAMP)),
            funds: steps(&|step| !definition.budgets.is_empty() && is_agent(step)),
        }
    }
}

type Notice = (RunId, Version, String);
type Probe = (EffectId, String, u32);

#[derive(Default)]
struct Known {
    scheduled: HashSet<EffectId>,
    recorded: HashSet<EffectId>,
    ended: HashSet<EffectId>,
    judged: HashSet<Probe>,
    over: HashSet<RunId>,
    definitions: BTreeMap<RunId, Hash>,
    forked: HashSet<RunId>,
    queued: BTreeMap<RunId, Vec<WantedSlot>>,
    keys: BTreeMap<StreamId, SlotState>,
    granted: HashSet<EffectId>,
    counters: BTreeMap<StreamId, Counter>,
    charged: HashSet<(RunId, Version, StreamId)>,
    notices: HashSet<Notice>,
    settled: BTreeMap<Notice, Timestamp>,
    in_flight_max: BTreeMap<(RunId, String), u32>,
    begun: BTreeMap<EffectId, u32>,
    at_work: BTreeMap<Place, BTreeSet<EffectId>>,
    /// Not counted against the limits: asked to end, or begun by a former engine that did not live to say so.
    uncounted: HashSet<EffectId>,
    probing: BTreeMap<Probe, BTreeSet<String>>,
    violations: Vec<String>,
}

/// The side_effects.
pub struct SideEffects {
    known: Mutex<Known>,
    bounds: Bounds,
    /// By the definitions' hashes.
    needs: BTreeMap<Hash, Needs>,
}

impl SideEffects {
    pub fn new(bounds: Bounds, needs: BTreeMap<Hash, Needs>) -> Arc<Self> {
        Arc::new(Self { known: Mutex::default(), bounds, needs })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    /// What no law allows.
    pub fn violation(&self) -> Option<String> {
        self.known().violations.first().cloned()
    }

    pub fn report(&self, what: String) {
        self.known().violations.push(what);
    }

    /// Events are durable.
    pub fn appended(&self, stream: &StreamId, events: &[NewEvent]) {
        let mut known = self.known();
        match (stream.kind, stream.as_run()) {
            (StreamKind::Run, Some(run)) => events.iter().for_each(|event| known.of_run(run, event)),
            (StreamKind::Key, _) => events.iter().for_each(|event| known.of_key(stream, event)),
            (StreamKind::Budget, _) => events.iter().for_each(|event| known.of_counter(stream, event)),
            _other => {}
        }
    }

    /// A worker is given work that it took.
    pub fn given_to_worker(&self, id: &EffectId) {
        let mut known = self.known();
        if !known.recorded.contains(id) {
            known
                .violate(format!("D2: a worker is given {} before it is durable that it takes it", name(id)));
        }
    }

    /// Work begins; `once`: it must never begin again.
    pub fn began(&self, place: Place, id: &EffectId, once: bool) {
        let mut known = self.known();
        let times = known.begun.entry(id.clone()).or_default();
        *times += 1;
        let times = *times;
        if once && times > 1 {
            known.violate(format!("exactly once: {} began {times} times", name(id)));
        }
        if known.ended.contains(id) {
            known.violate(format!("exactly once: {} has ended, and begins again", name(id)));
        }
        if !known.scheduled.contains(id) && !known.forked.contains(&id.run) {
            known.violate(format!(
                "intent before effect: {} begins, and nothing durable asks for it",
                name(id)
            ));
        }
        if place == Place::InProcess && once && !known.recorded.contains(id) {
            known.violate(format!("D10: {} begins before its AttemptStarted is durable", name(id)));
        }
        if known.over.contains(&id.run) {
            known.violate(format!("L9: {} begins after its run's end", name(id)));
        }
        let same = |other: &&EffectId| other.run == id.run && other.attempt.path == id.attempt.path;
        if let Some(other) = known.at_work.values().flatten().find(same).cloned() {
            known.violate(format!("D5: {} begins while {} is at work", name(id), name(&other)));
        }
        for slot in known.queued.get(&id.run).cloned().unwrap_or_default() {
            if !known.keys.get(&slots::stream(&slot)).is_some_and(|key| key.holds(id.run)) {
                known.violate(format!("D9: {} begins without {}", name(id), slot.key));
            }
        }
        known.at_work.entry(place).or_default().insert(id.clone());
        let busy = known.at_work[&place].iter().filter(|id| !known.uncounted.contains(id)).count();
        let limit = match place {
            Place::Supervised => self.bounds.supervised,
            Place::InProcess => self.bounds.functions,
            Place::Elsewhere => usize::MAX,
        };
        if busy > limit {
            let all = &known.at_work[&place];
            let counted: Vec<_> = all.iter().filter(|id| !known.uncounted.contains(id)).map(name).collect();
            known.violate(format!(
                "limits: {busy} of {limit} at work {place:?} with {}: {counted:?}",
                name(id)
            ));
        }
        let needs = |id: &EffectId| known.definitions.get(&id.run).and_then(|hash| self.needs.get(hash));
        let step = &id.attempt.path.step;
        if needs(id).is_some_and(|needs| needs.funds.contains(step)) && !known.granted.contains(id) {
            known.violate(format!("budgets: {} begins, and no funds were granted", name(id)));
        }
        let needs = |id: &EffectId| known.definitions.get(&id.run).and_then(|hash| self.needs.get(hash));
        let has_lamp = |id: &&EffectId| {
            !known.uncounted.contains(*id)
                && needs(id).is_some_and(|needs| needs.lamp.contains(&id.attempt.path.step))
        };
        if has_lamp(&id) {
            let holders: Vec<_> = known.at_work.values().flatten().filter(has_lamp).map(name).collect();
            if holders.len() > 1 {
                known.violate(format!("resources: one {LAMP}, and {holders:?} at work"));
            }
        }
        known.check_items(id);
    }

    /// Nothing of it is at work any more.
    pub fn left(&self, id: &EffectId) {
        for at_work in self.known().at_work.values_mut() {
            at_work.remove(id);
        }
    }

    /// It was asked to end; its place may be given to others.
    pub fn asked_to_end(&self, id: &EffectId) {
        self.known().uncounted.insert(id.clone());
    }

    /// The engine dies. What it began and did not record, the next one does not know to be at work.
    pub fn died(&self) {
        let mut known = self.known();
        let unknown = known.at_work.values().flatten().filter(|id| !known.recorded.contains(id));
        let unknown: Vec<_> = unknown.cloned().collect();
        known.uncounted.extend(unknown);
    }

    pub fn probing(self: &Arc<Self>, request: &ProbeRequest) -> Asked {
        let probe = (request.id.clone(), request.gate.clone(), request.probe_no);
        let folder = request.folder.display().to_string();
        let mut known = self.known();
        // Of `admit`, which is judged before there is a run, nothing is known.
        if known.judged.contains(&probe) {
            known.violate(format!("probe {} of {} at {} was judged", probe.2, probe.1, name(&probe.0)));
        }
        if !known.probing.entry(probe.clone()).or_default().insert(folder.clone()) {
            known.violate(format!("probe {folder} is in progress twice"));
        }
        let busy = known.probing.values().filter(|folders| !folders.is_empty()).count();
        if busy > self.bounds.probes && !known.scheduled.is_empty() {
            let limit = self.bounds.probes;
            known.violate(format!("limits: {busy} of {limit} probes with {folder}"));
        }
        Asked { side_effects: Arc::clone(self), probe, folder }
    }

    pub fn telling(&self, request: &NoticeRequest, now: Timestamp) {
        let mut known = self.known();
        let notice = (request.run, request.version, request.notice.clone());
        if !known.notices.contains(&notice) {
            known.violate(format!("intent before effect: notice {} is not queued", request.dedup()));
        }
        // A notice may be replaced while it is being sent.
        if known.settled.get(&notice).is_some_and(|at| now.since(*at) > Duration::from_secs(1)) {
            known.violate(format!("notice {} was settled, and is sent again", request.dedup()));
        }
    }

    /// What is still at work.
    pub fn at_work(&self) -> Vec<String> {
        self.known().at_work.values().flatten().map(name).collect()
    }

    /// Keys that a run holds or waits for.
    pub fn busy_keys(&self) -> Vec<String> {
        let known = self.known();
        let busy =
            known.keys.iter().filter(|(_, key)| key.living().next().is_some() || !key.queue().is_empty());
        busy.map(|(stream, _)| stream.to_string()).collect()
    }

    /// Counters that keep something free.
    pub fn busy_counters(&self) -> Vec<String> {
        let known = self.known();
        let busy = known.counters.iter().filter(|(_, counter)| counter.reserved().next().is_some());
        busy.map(|(stream, _)| stream.to_string()).collect()
    }
}

/// A probe in progress.
pub struct Asked {
    side_effects: Arc<SideEffects>,
    probe: Probe,
    folder: String,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(folders) = self.side_effects.known().probing.get_mut(&self.probe) {
            folders.remove(&self.folder);
        }
    }
}

fn name(id: &EffectId) -> String {
    format!("{}/{}", id.run.short(), id.attempt)
}

impl Known {
    fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    fn of_run(&mut self, run: RunId, event: &NewEvent) {
        let header = &event.header;
        let at = header.recorded_at;
        let is_copied = header.flags & everfold_engine::envelope::flag::COPIED != 0;
        let event = match event::decode(header.kind, header.schema, &event.payload) {
            Ok(event) => event,
            Err(error) => return self.violate(format!("unreadable: {error}")),
        };
        let effect = |id: &AttemptId| EffectId { run, attempt: id.clone() };
        if let Some(id) = ended(&event) {
            // An origin's attempts are not this run's, but no number of theirs is used again.
            if !self.ended.insert(effect(id)) {
                self.violate(format!("exactly once: {} ended twice", name(&effect(id))));
            }
        }
        match &event {
            RunEvent::RunStarted(event) => drop(self.definitions.insert(run, event.definition)),
            RunEvent::StepScheduled(event) => note(&mut self.scheduled, effect(&event.id)),
            RunEvent::RetryScheduled(event) => note(&mut self.scheduled, effect(&event.id)),
            RunEvent::AttemptStarted(event) => note(&mut self.recorded, effect(&event.id)),
            RunEvent::ItemsExpanded(event) => {
                if let Some(max) = event.max_in_flight {
                    self.in_flight_max.insert((run, event.step.as_str().to_owned()), max);
                }
            }
            RunEvent::GateEvaluated(event) => {
                note(&mut self.judged, (effect(&event.id), event.gate.clone(), event.probe_no));
            }
            RunEvent::RunQueued(event) if !is_copied => drop(self.queued.insert(run, event.slots.clone())),
            RunEvent::FundsGranted(event) => {
                note(&mut self.granted, effect(&event.id));
            }
            RunEvent::NoticeQueued(event) => {
                note(&mut self.notices, (run, event.version, event.notice.clone()))
            }
            RunEvent::NoticeSent(event) => self.settled(run, event.version, &event.notice, at),

            RunEvent::NoticeFailed(event) => self.settled(run, event.version, &event.notice, at),

            RunEvent::RunForked(forked) => {
                self.forked.insert(run);
                self.over.remove(&run);
                // Probes of what begins anew have numbers of their own again.
                self.judged.retain(|(id, ..)| id.run != run);
                self.ended.retain(|id| id.run != run || !forked.reset.contains(&id.attempt.path.step));
                // That its origin's work began, with whose money, says nothing of its own of the same name.
                self.recorded.retain(|id| id.run != run);
                self.granted.retain(|id| id.run != run);
            }
            RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_) => {
                self.over.insert(run);
                let left: Vec<_> =
                    self.at_work.values().flatten().filter(|id| id.run == run).map(name).collect();
                if !left.is_empty() && !is_copied {
                    self.violate(format!("D5: {run} ends while {left:?} is at work"));
                }
            }
            _other => {}
        }
    }

    fn settled(&mut self, run: RunId, version: Version, notice: &str, at: Timestamp) {
        self.settled.insert((run, version, notice.to_owned()), at);
    }

    fn of_key(&mut self, stream: &StreamId, event: &NewEvent) {
        let header = &event.header;
        let event = match SlotEvent::decode(header.kind, header.schema, &event.payload) {
            Ok(event) => event,
            Err(error) => return self.violate(format!("unreadable: {error}")),
        };
        let key = self.keys.entry(stream.clone()).or_default();
        if let SlotEvent::SlotGranted(granted) = &event
            && !key.has_room(&granted.slot)
        {
            let what = format!("concurrency: {} gets {stream}, which has no room", granted.run);
            self.violations.push(what);
        }
        key.apply(&event);
    }

    fn of_counter(&mut self, stream: &StreamId, event: &NewEvent) {
        let header = &event.header;
        let event = match CounterEvent::decode(header.kind, header.schema, &event.payload) {
            Ok(event) => event,
            Err(error) => return self.violate(format!("unreadable: {error}")),
        };
        let counter = self.counters.entry(stream.clone()).or_default();
        let violation = match &event {
            CounterEvent::FundsReserved(reserved) => {
                let is_full = |terms: &BudgetTerms| counter.room(terms, &counter.used()).is_err();
                let what = || format!("{} gets what {stream} has not", name(&reserved.attempt));
                reserved.terms.as_ref().is_some_and(is_full).then(what)
            }
            CounterEvent::SpendCharged(charged) => {
                let key = (charged.attempt.run, charged.version, stream.clone());
                let what = || format!("{} is charged to {stream} twice", name(&charged.attempt));
                (!self.charged.insert(key)).then(what)
            }
            CounterEvent::LimitRaised(_)
            | CounterEvent::CounterPeriodBegan(_)
            | CounterEvent::OwnLimitSet(_) => None,
        };
        counter.apply(&event);
        if let Some(what) = violation {
            self.violate(format!("budgets: {what}"));
        }
    }

    fn check_items(&mut self, id: &EffectId) {
        let path = &id.attempt.path;
        if path.item.is_none() {
            return;
        }
        let Some(max) = self.in_flight_max.get(&(id.run, path.step.as_str().to_owned())) else { return };
        let is_item = |other: &&EffectId| {
            other.run == id.run && other.attempt.path.step == path.step && is_part(&other.attempt.path)
        };
        let busy = self.at_work.values().flatten().filter(is_item).count();
        if busy > usize::try_from(*max).unwrap() {
            let what = format!("L24: {busy} items of {} at work, {max} may be", path.step.as_str());
            self.violate(what);
        }
    }
}

fn note<T: Eq + std::hash::Hash>(known: &mut HashSet<T>, fact: T) {
    known.insert(fact);
}

fn is_part(path: &StepPath) -> bool {
    path.item.is_some()
}

/// The attempt that this event ends.
pub fn ended(event: &RunEvent) -> Option<&AttemptId> {
    match event {
        RunEvent::AttemptSucceeded(event) => Some(&event.id),
        RunEvent::AttemptFailed(event) => Some(&event.id),
        RunEvent::AttemptLost(event) => Some(&event.id),
        RunEvent::AttemptAsked(event) => Some(&event.id),
        RunEvent::ChildFinished(event) => Some(&event.id),
        _other => None,
    }
}

//! From the effects that the durable state lists to work, timers and requests.
//!
//! Law: a listed effect that is not in progress is started, and nothing else is. Only the parts that events touched
//! are listed, except after a load, when all are.

use std::collections::HashSet;
use std::time::Duration;

use crate::messages::Queued;
use crate::run::attempt::event::AttemptEvent;
use crate::run::attempt::phase::AttemptPhase;
use crate::run::decide_queue::clock_read;
use crate::run::loaded_run::{LoadedRun, RunPhase, SlotProgress};
use crate::run::reattachment::Reattachment;
use crate::shard::core::ShardCore;
use crate::shard::timers::{TimerDue, TimerKey};
use crate::streams::slots::mailbox::{RunDemand, SlotRequest};
use crate::streams::slots::run_pauses::RunPauses;
use everfold_base::id::InputId;
use everfold_base::time::Timestamp;
use everfold_core::effect::{Effect, Touched};
use everfold_core::event::{HaltScope, OriginKind, RunHalted, RunReleased, TimerFired, TimerId, TimerKind};
use everfold_core::input::InputKind;
use everfold_core::state::{RunState, effects_of};
use everfold_language::definition::Work;

/// How long a worker has, behind a start of the engine, to report work whose time limit passed meanwhile.
const REPORTED_WITHIN: Duration = Duration::from_secs(30);

impl ShardCore {
    /// Brings what is in progress in line with the state, which is durable.
    pub(crate) fn dispatch(&mut self, loaded: &mut LoadedRun) {
        let is_aligned = self.align(loaded);
        let Some(state) = loaded.state.as_mut() else { return };
        if state.is_ended() && state.run() == Some(loaded.run) {
            self.shared.ends.report(loaded.run);
            self.shared.credentials_ended(loaded.run);
        }
        let touched = state.take_touched();
        if !is_aligned {
            // It is dispatched again when that is durable.
            loaded.dispatching.unlisted = true;
            return;
        }
        // The effects of a copied history are its origin's.
        if !loaded.dispatching.driven || loaded.is_copy() {
            loaded.dispatching.unlisted = true;
            for waiting in loaded.awaited.drain(..) {
                let _gone = waiting.send(true);
            }
            return;
        }
        if self.shared.is_stopping() {
            loaded.dispatching.unlisted = true;
            self.start_recorded(loaded);
            // A second notice does no harm; the report of a run's end should not wait for the next engine.
            for part in touched.iter().filter(|part| matches!(part, Touched::Channel(_))) {
                self.dispatch_part(loaded, part);
            }
        } else if std::mem::take(&mut loaded.dispatching.unlisted) {
            self.dispatch_all(loaded);
        } else {
            for part in &touched {
                self.dispatch_part(loaded, part);
            }
        }
        if loaded.state.as_ref().is_some_and(RunState::is_paused) {
            self.withdraw_offers(loaded);
        }
        if !self.shared.is_stopping() {
            for start in std::mem::take(&mut loaded.dispatching.later) {
                self.go_on_with(loaded, start);
            }
        }
        for waiting in loaded.awaited.drain(..) {
            let _gone = waiting.send(true);
        }
        self.release(loaded);
    }

    /// Whether the run's pauses are those of its pipeline and the engine; else it gets an input, and nothing is started.
    fn align(&mut self, loaded: &mut LoadedRun) -> bool {
        let halts = self.shared.halts.last_known();
        let Some(state) = loaded.state.as_ref().filter(|state| state.run().is_some() && !state.is_ended())
        else {
            return true;
        };
        if halts.is_empty() && state.halts().next().is_none() {
            return true;
        }
        let name = state.pipeline();
        let is_recorded = |scope: &HaltScope| state.halts().any(|known| known == scope);
        let mut inputs = Vec::new();
        // A run whose end is certain is not paused any more, and is released from its pauses.
        let is_new = |scope: &HaltScope| !state.is_ending() && !is_recorded(scope);
        for (scope, halt) in halts.of_pipeline(name).filter(|(scope, _)| is_new(scope)) {
            inputs.push(InputKind::Halt(RunHalted { scope: scope.clone(), reason: halt.reason.clone() }));
        }
        for scope in state.halts().filter(|scope| halts.of_pipeline(name).all(|(known, _)| known != *scope)) {
            inputs.push(InputKind::Release(RunReleased { scope: scope.clone() }));
        }
        if inputs.is_empty() {
            return true;
        }
        if !std::mem::replace(&mut loaded.own_inputs.aligning, true) {
            for (at, kind) in inputs.into_iter().enumerate() {
                let id = InputId::derive(&format!("{}/halts/{}/{at}", loaded.run, loaded.version));
                loaded.push(Queued::own(id, kind));
            }
            self.mark(loaded);
        }
        false
    }

    /// At shutdown nothing starts but what is recorded as started: a later engine could not know that
    /// it was not.
    fn start_recorded(&mut self, loaded: &mut LoadedRun) {
        let is_recording = |phase| matches!(phase, AttemptPhase::Recording { .. });
        let recording = loaded.attempts.in_phase(is_recording);
        let mut parts: Vec<_> = recording.map(|id| Touched::Path(id.path.clone())).collect();
        parts.sort_unstable();
        for part in parts {
            let Some(state) = &loaded.state else { return };
            for effect in effects_of(state, &part) {
                if let Effect::Attempt { id, started: true } = effect
                    && is_recording(loaded.attempts.phase(&id))
                {
                    self.attempt_event(loaded, &id, AttemptEvent::Listed { is_recorded: true });
                }
            }
        }
    }

    /// All parts, after a load. Reports of attempts that a former engine started are decided first.
    fn dispatch_all(&mut self, loaded: &mut LoadedRun) {
        let Some(state) = &loaded.state else { return };
        let mut parts: Vec<Touched> = vec![Touched::Run];
        parts.extend(state.active_paths().into_iter().map(Touched::Path));
        parts.extend(state.active_channels().map(Touched::Channel));
        // Timers of parts that are no longer active.
        let gone: Vec<Touched> = loaded.timers.keys().filter(|part| !parts.contains(part)).cloned().collect();
        let living: HashSet<_> = parts
            .iter()
            .flat_map(|part| effects_of(state, part))
            .filter_map(|effect| match effect {
                Effect::Attempt { id, started: true } if !loaded.attempts.contains(&id) => Some(id),
                _ => None,
            })
            .collect();
        if !living.is_empty() && loaded.reattachment.is_none() {
            let until = self.shared.steady().plus(self.shared.config.settle);
            let until = self.pauses.add(until, loaded.run, TimerDue::ReattachmentOver);
            loaded.reattachment = Some(Reattachment::new(living, until));
        }
        // A former engine may have started attempts whose start is not recorded.
        let doubtful =
            parts.iter().flat_map(|part| effects_of(state, part)).filter_map(|effect| match effect {
                Effect::Attempt { id, started: false } if !loaded.attempts.contains(&id) => Some(id),
                _ => None,
            });
        loaded.unstarted.may_be_left.extend(doubtful);
        if let Some(reason) = self.poison(loaded, &parts) {
            return self.quarantine(loaded, reason);
        }
        self.forget_unscheduled(loaded);
        for part in parts.iter().chain(&gone) {
            self.dispatch_part(loaded, part);
        }
        self.discard_copies(loaded);
        self.compare_clock(loaded);
    }

    /// Gives the run a reading of the clock, where it waits by a reading that was later than the clock is now.
    pub(crate) fn compare_clock(&mut self, loaded: &mut LoadedRun) {
        if !loaded.dispatching.driven || loaded.is_copy() || matches!(loaded.phase, RunPhase::Quarantined(_))
        {
            return;
        }
        let now = self.shared.now();
        if loaded.state.as_ref().is_some_and(|state| !state.is_ended() && state.waits_since_later(now)) {
            loaded.push(clock_read(loaded.run, loaded.version, now));
            self.mark(loaded);
        }
    }

    /// Starts what one part of the run lists.
    pub(crate) fn dispatch_part(&mut self, loaded: &mut LoadedRun, part: &Touched) {
        let Some(state) = &loaded.state else { return };
        let effects = effects_of(state, part);
        self.set_timers(loaded, part, &effects);
        self.stop_probes(loaded, part);
        if let Touched::Channel(channel) = part
            && effects.is_empty()
        {
            self.channel_is_empty(loaded, channel);
        }
        for effect in effects {
            match effect {
                Effect::Attempt { id, started: is_recorded } => {
                    self.attempt_event(loaded, &id, AttemptEvent::Listed { is_recorded });
                }
                Effect::Stop { id } => self.stop_listed(loaded, &id),
                Effect::Probe { id, gate, probe_no } => self.probe_listed(loaded, id, gate, probe_no, part),
                Effect::Workspace => self.workspace_listed(loaded, part),
                Effect::Notice { channel, version, notice } => {
                    self.notice_listed(loaded, channel, version, &notice);
                }
                Effect::Timer { .. } => {}
                Effect::Slots => self.slots_listed(loaded),
                Effect::Funds { id, since } => self.funds_listed(loaded, id, since),
                Effect::SpendReport { version } => self.report_listed(loaded, version),
                Effect::Advance => {
                    if !std::mem::replace(&mut loaded.own_inputs.advancing, true) {
                        let id = InputId::derive(&format!("{}/advance/{}", loaded.run, loaded.version));
                        loaded.push(Queued::own(id, InputKind::Advance));
                        self.mark(loaded);
                    }
                }
            }
        }
    }

    /// Makes the queue of timers equal to the part's timers.
    fn set_timers(&mut self, loaded: &mut LoadedRun, part: &Touched, effects: &[Effect]) {
        let mut former = loaded.timers.remove(part).unwrap_or_default();
        let mut kept: Vec<(TimerId, Timestamp, TimerKey)> = Vec::new();
        for effect in effects {
            let Effect::Timer { timer, at } = effect else { continue };
            let same = former.iter().position(|(known, due, _)| known == timer && due == at);
            kept.push(match same {
                Some(found) => former.swap_remove(found),
                None => {
                    let wake = self.due_here(loaded, timer, *at);
                    let key = self.timers.add(wake, loaded.run, TimerDue::Timer(timer.clone()));
                    (timer.clone(), *at, key)
                }
            });
        }
        former.into_iter().for_each(|(_, _, key)| self.timers.remove(key));
        if !kept.is_empty() {
            loaded.timers.insert(part.clone(), kept);
        }
    }

    /// The moment at which a timer of the state wakes the run. The time limit of work for workers may have passed while none
    /// of it could be heard of, the engine being away or the run paused: it begins anew where no worker has taken the work,
    /// and one that has may still report it.
    fn due_here(&self, loaded: &LoadedRun, timer: &TimerId, at: Timestamp) -> Timestamp {
        let now = self.shared.now();
        if timer.kind != TimerKind::Timeout || at > now {
            return at;
        }
        let Some(state) = &loaded.state else { return at };
        let Some(Work::Task(task)) = state.step(&timer.id.path.step).and_then(|(step, _)| step.work.as_ref())
        else {
            return at;
        };
        let executor = self.shared.edge.executors.get(&task.kind);
        if !executor.is_some_and(|executor| executor.is_elsewhere(task.spec.source())) {
            return at;
        }
        let limit = state.time_limit(&timer.id).unwrap_or_default();
        let is_held = state.worker_hold(&timer.id).is_some_and(|hold| hold.end.is_none());
        now.plus(if is_held { limit.min(REPORTED_WITHIN) } else { limit })
    }

    /// A timer of the run is due.
    pub(crate) fn fired(&mut self, loaded: &mut LoadedRun, timer: TimerId, key: TimerKey) {
        let part = Touched::Path(timer.id.path.clone());
        let mut due = key.0;
        if let Some(timers) = loaded.timers.get_mut(&part) {
            timers.retain(|(_, at, known)| {
                if *known == key {
                    due = *at;
                }
                *known != key
            });
            if timers.is_empty() {
                loaded.timers.remove(&part);
            }
        }
        let about = format!("{}/timer/{}/{:?}/{}/{}", loaded.run, timer.id, timer.kind, timer.name, due.0);
        let queued = Queued::own(InputId::derive(&about), InputKind::TimerFired(TimerFired { timer, due }));
        match &mut loaded.reattachment {
            Some(reattachment) => reattachment.timer(queued),
            None => loaded.push(queued),
        }
        self.mark(loaded);
    }

    /// Decides what a recovered run kept back, when all re-attached attempts have reported or their time is over.
    pub(crate) fn end_reattachment(&mut self, loaded: &mut LoadedRun, is_over: bool) {
        if let Some(reattachment) = loaded.reattachment.take_if(|it| is_over || it.is_complete()) {
            self.pauses.remove(reattachment.until);
            reattachment.into_inputs().for_each(|queued| loaded.push(queued));
            self.mark(loaded);
        }
    }

    /// Whether runs with timers may leave memory: only where the wake task runs, which wakes them.
    pub(crate) fn may_park(&self) -> bool {
        self.shared.wakes.attended.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The state lists slots that it waits for.
    fn slots_listed(&mut self, loaded: &mut LoadedRun) {
        let Some(state) = &loaded.state else { return };
        let still = state.is_paused();
        let is_known = match std::mem::replace(&mut loaded.slots, SlotProgress::Waiting { still }) {
            SlotProgress::Waiting { still: stood_still } => !stood_still || still,
            SlotProgress::Unknown | SlotProgress::Returned => false,
        };
        if !is_known {
            let (run, slots, priority) = (loaded.run, state.slots().to_vec(), state.priority());
            // A run that replaces another one begins after that has ended.
            let origin = state.origin().filter(|origin| origin.how != OriginKind::Fork);
            let after = origin.map(|origin| origin.run);
            let parent = state.parent().cloned();
            let is_judged = state.origin().is_none();
            let version = loaded.version;
            let pauses = RunPauses::of(state);
            let demand = RunDemand { run, version, slots, priority, parent, pauses, is_judged };
            self.shared.mailboxes.slots.put(SlotRequest::Want { demand, after });
        }
    }
}

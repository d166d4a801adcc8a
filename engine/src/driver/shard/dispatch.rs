//! From the durable state to what is in progress.
//!
//! Law: what is listed and not in progress is started; nothing else is. Only the parts that events
//! touched are looked at, except after a load, when everything is.

use std::collections::HashSet;

use super::World;
use super::cell::{Cell, Phase, Work};
use super::commit::clock_read;
use super::settle::Settling;
use super::timers::{Due, TimerKey};
use crate::driver::desk::Ask;
use crate::driver::message::Queued;
use crate::effect::{Effect, Touched, effects_of};
use crate::event::{HaltScope, OriginKind, TimerId};
use crate::id::InputId;
use crate::input::InputKind;
use crate::time::Timestamp;

impl World {
    /// Brings what is in progress in line with the state, which is durable.
    pub(super) fn dispatch(&mut self, cell: &mut Cell) {
        let is_aligned = self.align(cell);
        let Some(state) = cell.state.as_mut() else { return };
        if state.is_ended() && state.run() == Some(cell.run) {
            self.shared.ends.tell(cell.run);
        }
        let touched = state.take_touched();
        if !is_aligned {
            // It is dispatched again when that is durable.
            cell.unlisted = true;
            return;
        }
        // What a copied history lists is its origin's.
        if !cell.driven || cell.is_copy() {
            cell.unlisted = true;
            for waiting in cell.awaited.drain(..) {
                let _gone = waiting.send(true);
            }
            return;
        }
        if self.shared.is_stopping() {
            cell.unlisted = true;
            self.keep_promises(cell);
            // Who is told twice is told so; what a run says at its end should not wait for a next engine.
            for part in touched.iter().filter(|part| matches!(part, Touched::Channel(_))) {
                self.dispatch_part(cell, part);
            }
        } else if std::mem::take(&mut cell.unlisted) {
            self.dispatch_all(cell);
        } else {
            for part in &touched {
                self.dispatch_part(cell, part);
            }
        }
        if !self.shared.is_stopping() {
            for start in std::mem::take(&mut cell.later) {
                self.go_on_with(cell, start);
            }
        }
        for waiting in cell.awaited.drain(..) {
            let _gone = waiting.send(true);
        }
        self.release(cell);
    }

    /// Whether the run stands still exactly with what does; else it is told, and nothing is started.
    fn align(&mut self, cell: &mut Cell) -> bool {
        let halts = self.shared.halts.last_known();
        let Some(state) = cell.state.as_ref().filter(|state| state.run().is_some() && !state.is_ended())
        else {
            return true;
        };
        if halts.is_empty() && state.halts().next().is_none() {
            return true;
        }
        let name = state.pipeline();
        let is_told = |scope: &HaltScope| state.halts().any(|known| known == scope);
        let mut inputs = Vec::new();
        // Where it is certain how a run ends it goes on to that, and is released from what it stands still with.
        let is_new = |scope: &HaltScope| !state.is_ending() && !is_told(scope);
        for (scope, halt) in halts.of_pipeline(name).filter(|(scope, _)| is_new(scope)) {
            inputs.push(InputKind::Halt { scope: scope.clone(), reason: halt.reason.clone() });
        }
        for scope in state.halts().filter(|scope| halts.of_pipeline(name).all(|(known, _)| known != *scope)) {
            inputs.push(InputKind::Release { scope: scope.clone() });
        }
        if inputs.is_empty() {
            return true;
        }
        if !std::mem::replace(&mut cell.aligning, true) {
            for (at, kind) in inputs.into_iter().enumerate() {
                let id = InputId::derive(&format!("{}/halts/{}/{at}", cell.run, cell.version));
                cell.push(Queued::own(id, kind));
            }
            self.mark(cell);
        }
        false
    }

    /// At shutdown nothing starts but what is recorded as started: a later engine could not know that
    /// it was not.
    fn keep_promises(&mut self, cell: &mut Cell) {
        let promised = cell.work.iter().filter(|(_, work)| matches!(work, Work::Recording(..)));
        let mut promised: Vec<_> = promised.map(|(id, _)| Touched::Path(id.path.clone())).collect();
        promised.sort_unstable();
        for part in promised {
            let Some(state) = &cell.state else { return };
            for effect in effects_of(state, &part) {
                if let Effect::Attempt { id, started: true } = effect
                    && matches!(cell.work.get(&id), Some(Work::Recording(..)))
                {
                    self.attempt_listed(cell, id, true);
                }
            }
        }
    }

    /// Everything, after a load. Attempts that a former engine started are heard first.
    fn dispatch_all(&mut self, cell: &mut Cell) {
        let Some(state) = &cell.state else { return };
        let mut parts: Vec<Touched> = vec![Touched::Run];
        parts.extend(state.active_paths().into_iter().map(Touched::Path));
        parts.extend(state.active_channels().map(Touched::Channel));
        // Timers of parts that are no longer active.
        let gone: Vec<Touched> = cell.timers.keys().filter(|part| !parts.contains(part)).cloned().collect();
        let living: HashSet<_> = parts
            .iter()
            .flat_map(|part| effects_of(state, part))
            .filter_map(|effect| match effect {
                Effect::Attempt { id, started: true } if !cell.work.contains_key(&id) => Some(id),
                _ => None,
            })
            .collect();
        if !living.is_empty() && cell.settling.is_none() {
            let until = self.shared.steady().plus(self.shared.config.settle);
            let until = self.pauses.add(until, cell.run, Due::Settled);
            cell.settling = Some(Settling::new(living, until));
        }
        // Of what nobody recorded as begun, a former engine may have begun something all the same.
        let doubtful =
            parts.iter().flat_map(|part| effects_of(state, part)).filter_map(|effect| match effect {
                Effect::Attempt { id, started: false } if !cell.work.contains_key(&id) => Some(id),
                _ => None,
            });
        cell.doubtful.extend(doubtful);
        if let Some(reason) = self.poison(cell, &parts) {
            return self.set_aside(cell, reason);
        }
        for part in parts.iter().chain(&gone) {
            self.dispatch_part(cell, part);
        }
        self.discard_copies(cell);
        self.compare_clock(cell);
    }

    /// Tells the run what the clock says, where something in it waits by a clock that said more.
    pub(super) fn compare_clock(&mut self, cell: &mut Cell) {
        if !cell.driven || cell.is_copy() || matches!(cell.phase, Phase::Aside(_)) {
            return;
        }
        let now = self.shared.now();
        if cell.state.as_ref().is_some_and(|state| !state.is_ended() && state.waits_since_later(now)) {
            cell.push(clock_read(cell.run, cell.version, now));
            self.mark(cell);
        }
    }

    /// One part of the run.
    pub(super) fn dispatch_part(&mut self, cell: &mut Cell, part: &Touched) {
        let Some(state) = &cell.state else { return };
        let effects = effects_of(state, part);
        self.set_timers(cell, part, &effects);
        self.stop_probes(cell, part);
        if let Touched::Channel(channel) = part
            && effects.is_empty()
        {
            self.channel_is_empty(cell, channel);
        }
        for effect in effects {
            match effect {
                Effect::Attempt { id, started } => self.attempt_listed(cell, id, started),
                Effect::Stop { id } => self.stop_listed(cell, id),
                Effect::Probe { id, gate, probe_no } => self.probe_listed(cell, id, gate, probe_no, part),
                Effect::Workspace => self.workspace_listed(cell, part),
                Effect::Notice { channel, version, notice } => {
                    self.notice_listed(cell, channel, version, &notice);
                }
                Effect::Timer { .. } => {}
                Effect::Slots => self.slots_listed(cell),
                Effect::Funds { id, since } => self.funds_listed(cell, id, since),
                Effect::SpendReport { version } => self.report_listed(cell, version),
                Effect::Advance => {
                    if !std::mem::replace(&mut cell.advancing, true) {
                        let id = InputId::derive(&format!("{}/advance/{}", cell.run, cell.version));
                        cell.push(Queued::own(id, InputKind::Advance));
                        self.mark(cell);
                    }
                }
            }
        }
    }

    /// Keeps the queue of timers equal to what the part lists.
    fn set_timers(&mut self, cell: &mut Cell, part: &Touched, effects: &[Effect]) {
        let mut former = cell.timers.remove(part).unwrap_or_default();
        let mut kept: Vec<(TimerId, Timestamp, TimerKey)> = Vec::new();
        for effect in effects {
            let Effect::Timer { timer, at } = effect else { continue };
            let same = former.iter().position(|(known, due, _)| known == timer && due == at);
            kept.push(match same {
                Some(found) => former.swap_remove(found),
                None => {
                    let key = self.timers.add(*at, cell.run, Due::Timer(timer.clone()));
                    (timer.clone(), *at, key)
                }
            });
        }
        former.into_iter().for_each(|(_, _, key)| self.timers.remove(key));
        if !kept.is_empty() {
            cell.timers.insert(part.clone(), kept);
        }
    }

    /// A timer of the run is due.
    pub(super) fn fired(&mut self, cell: &mut Cell, timer: TimerId, key: TimerKey) {
        let part = Touched::Path(timer.id.path.clone());
        if let Some(timers) = cell.timers.get_mut(&part) {
            timers.retain(|(_, _, known)| *known != key);
            if timers.is_empty() {
                cell.timers.remove(&part);
            }
        }
        let about = format!("{}/timer/{}/{:?}/{}/{}", cell.run, timer.id, timer.kind, timer.name, key.0.0);
        let queued = Queued::own(InputId::derive(&about), InputKind::TimerFired { timer, due: key.0 });
        match &mut cell.settling {
            Some(settling) => settling.timer(queued),
            None => cell.push(queued),
        }
        self.mark(cell);
    }

    /// Ends the listening of a recovered run when everything living was heard, or its time is over.
    pub(super) fn settled(&mut self, cell: &mut Cell, is_over: bool) {
        let Some(settling) = cell.settling.take_if(|settling| is_over || settling.is_settled()) else {
            return;
        };
        self.pauses.remove(settling.until);
        settling.into_inputs().for_each(|queued| cell.push(queued));
        self.mark(cell);
    }

    /// Whether runs with timers may leave memory: somebody wakes them.
    pub(super) fn may_park(&self) -> bool {
        self.shared.wakes.attended.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The state lists slots that it waits for.
    fn slots_listed(&mut self, cell: &mut Cell) {
        let Some(state) = &cell.state else { return };
        let still = state.is_paused();
        let stood_still = std::mem::replace(&mut cell.wanting_still, still);
        if !std::mem::replace(&mut cell.wanting, true) || (stood_still && !still) {
            let (run, slots, priority) = (cell.run, state.slots().to_vec(), state.priority());
            // What takes the place of a run begins after that has ended.
            let origin = state.origin().filter(|origin| origin.how != OriginKind::Fork);
            let after = origin.map(|origin| origin.run);
            let parent = state.parent().cloned();
            self.shared.desk.put(Ask::Want { run, slots, priority, after, parent, still });
        }
    }
}

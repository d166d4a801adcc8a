//! What the state says is outstanding.

use super::key::Key;
use super::run_state::RunState;
use super::spend::FundStage;
use super::step::Stage;
use crate::effect::{Effect, Touched};
use crate::event::{TimerId, TimerKind};
use everfold_base::id::{Attempt, AttemptId, Round, StepPath};
use everfold_base::time::Timestamp;

/// Everything that should be in progress: what recovery starts. Costs O(run).
#[must_use]
pub fn effects(state: &RunState) -> Vec<Effect> {
    let mut effects = effects_of(state, &Touched::Run);
    for path in state.active_paths() {
        effects.extend(effects_of(state, &Touched::Path(path)));
    }
    for channel in state.facts.outbox.channels() {
        effects.extend(state.channel_effects(channel));
    }
    effects
}

/// The work that may live: what should be in progress or be stopped, and what a pause keeps from being begun, which may have
/// begun before. Costs O(run).
#[must_use]
pub fn living_effects(state: &RunState) -> Vec<Effect> {
    state.active_paths().into_iter().flat_map(|path| state.living_effects_of(&path)).collect()
}

/// What should be in progress for one part of the run. Costs O(1) in the size of the run.
#[must_use]
pub fn effects_of(state: &RunState, touched: &Touched) -> Vec<Effect> {
    match touched {
        Touched::Run => state.run_effects(),
        Touched::Path(path) => state.path_effects(path),
        Touched::Channel(channel) => state.channel_effects(channel),
    }
}

impl RunState {
    /// The run's own effects.
    pub(crate) fn run_effects(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.next_agenda().is_some() || self.owes_reminders() {
            effects.push(Effect::Advance);
        }
        if self.wants_workspace() {
            effects.push(Effect::Workspace);
        }
        if self.is_queued() {
            effects.push(Effect::Slots);
        }
        let reports = self.facts.spend.reports.keys();
        effects.extend(reports.map(|version| Effect::SpendReport { version: *version }));
        effects
    }

    /// The work of a step or item that may live, whether it may be begun now or not.
    fn living_effects_of(&self, path: &StepPath) -> Vec<Effect> {
        let mut effects: Vec<Effect> =
            self.stops_of(path).map(|id| Effect::Stop { id: id.clone() }).collect();
        let key = self.key(path).filter(|key| self.facts.ended.is_none() && self.is_live(key.step));
        let Some(key) = key else { return effects };
        if self.facts.attempts.contains(&key) {
            let started = self.unit_at(key).is_some_and(|unit| unit.stage == Stage::Running);
            effects.push(Effect::Attempt { id: self.attempt_id(key), started });
        }
        effects.extend(self.probe(key));
        effects
    }

    /// The probe that a step waits for.
    fn probe(&self, key: Key) -> Option<Effect> {
        if key.item.is_some() || !self.facts.probing.contains(&key.step) {
            return None;
        }
        let judging = &self.facts.steps[key.step].judging;
        let gate = self.graph.step(key.step).gates.get(judging.gate)?.id.clone();
        Some(Effect::Probe { id: self.attempt_id(key), gate, probe_no: judging.probe_no })
    }

    /// The effects of a step, or of an item of one.
    pub(crate) fn path_effects(&self, path: &StepPath) -> Vec<Effect> {
        let mut effects: Vec<Effect> =
            self.stops_of(path).map(|id| Effect::Stop { id: id.clone() }).collect();
        if self.facts.ended.is_some() {
            return effects;
        }
        let timers = self.timers_of(path).filter(|_| !self.stands_still());
        let timers = timers.map(|(timer, at)| Effect::Timer { timer: timer.clone(), at: *at });
        let Some(key) = self.key(path) else {
            // The budgets' own.
            effects.extend(timers);
            return effects;
        };
        if self.facts.attempts.contains(&key) {
            let started = self.unit_at(key).is_some_and(|unit| unit.stage == Stage::Running);
            if started || !(self.is_held(key.step) || self.facts.held.contains(&key)) {
                let id = self.attempt_id(key);
                match self.facts.spend.funds.get(&id) {
                    Some(fund) if !started && fund.stage != FundStage::Granted => {
                        if matches!(fund.stage, FundStage::Asked | FundStage::Refused) {
                            effects.push(Effect::Funds { id, since: fund.since });
                        }
                    }
                    _funded => effects.push(Effect::Attempt { id, started }),
                }
            }
        }
        effects.extend(self.probe(key).filter(|_| !self.is_held(key.step)));
        effects.extend(timers);
        effects
    }

    /// Whether the answer of a probe is still wanted: also where a pause keeps it from being started.
    pub fn is_probing(&self, id: &AttemptId, gate: &str, probe_no: u32) -> bool {
        let Some(key) = self.current(id).filter(|_| self.facts.ended.is_none()) else { return false };
        let judging = &self.facts.steps[key.step].judging;
        let current = self.graph.step(key.step).gates.get(judging.gate);
        self.facts.probing.contains(&key.step)
            && judging.probe_no == probe_no
            && current.is_some_and(|current| current.id == gate)
    }

    /// Steps and items that may have effects.
    pub fn active_paths(&self) -> Vec<StepPath> {
        let facts = &self.facts;
        let keys = facts.attempts.iter().copied().chain(facts.probing.iter().map(|at| Key::step(*at)));
        let mut paths: Vec<StepPath> = keys.map(|key| self.path(key)).collect();
        paths.extend(facts.stops.keys().map(|id| id.path.clone()));
        paths.extend(facts.timers.keys().map(|timer| timer.id.path.clone()));
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Whether nothing of the run begins, and no time passes for it: it is paused, or goes on from another
    /// one's history and waits for its slots.
    pub(crate) fn stands_still(&self) -> bool {
        // Once the outcome is certain, the steps of `on_finish` do not wait for slots.
        self.facts.paused || (self.facts.queue.waits && self.facts.outcome.is_none())
    }

    /// Whether new work of a step must wait: a pause, no slot, no workspace yet.
    fn is_held(&self, step: usize) -> bool {
        self.stands_still()
            || !self.is_live(step)
            || self.owes_workspace()
            || (self.facts.workspace.is_none() && self.graph.uses_workspace(step))
    }

    /// Whether something waits for the workspace.
    pub(crate) fn wants_workspace(&self) -> bool {
        let facts = &self.facts;
        if self.graph.definition.workspace.is_none()
            || facts.workspace.is_some()
            || self.stands_still()
            || facts.ended.is_some()
        {
            return false;
        }
        if self.owes_workspace() {
            return true;
        }
        // By step, not by item: there may be many items in flight that need none.
        (0..self.graph.len()).any(|step| {
            let first = Key::step(step);
            let next = Key::step(step + 1);
            self.is_live(step)
                && self.graph.uses_workspace(step)
                && (facts.probing.contains(&step) || facts.attempts.range(first..next).next().is_some())
        })
    }

    /// The timers of a step, or of an item of one.
    pub(crate) fn timers_of<'a>(
        &'a self,
        path: &'a StepPath,
    ) -> impl Iterator<Item = (&'a TimerId, &'a Timestamp)> {
        let first = TimerId { id: first_attempt(path), kind: TimerKind::Retry, name: String::new() };
        self.facts.timers.range(first..).take_while(move |(timer, _)| timer.id.path == *path)
    }

    fn stops_of<'a>(&'a self, path: &'a StepPath) -> impl Iterator<Item = &'a AttemptId> {
        self.facts.stops.range(first_attempt(path)..).map(|(id, _)| id).take_while(move |id| id.path == *path)
    }

    /// Attempts of a step that are being stopped, those of former rounds included.
    pub(crate) fn stops_of_step(&self, at: usize) -> impl Iterator<Item = &AttemptId> {
        let step = self.step_id(at);
        let first = first_attempt(&StepPath::step(&step));
        self.facts.stops.range(first..).map(|(id, _)| id).take_while(move |id| id.path.step == step)
    }

    /// The earliest timer.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }
}

fn first_attempt(path: &StepPath) -> AttemptId {
    AttemptId { path: path.clone(), round: Round::ZERO, attempt: Attempt::ZERO }
}

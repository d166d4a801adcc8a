//! Whether and why a run is paused, and which of its steps are in progress.

use super::agenda::Agenda;
use super::control::Pause;
use super::key::Key;
use super::run_state::RunState;
use super::step::Phase;
use crate::event::HaltScope;
use everfold_base::id::StepId;

impl RunState {
    /// Why the run is paused: its own pause first.
    pub fn pauses(&self) -> impl Iterator<Item = &Pause> {
        self.facts.order.pause.iter().chain(self.facts.order.halts.values())
    }

    /// The halted scope that pauses the run.
    pub fn halts(&self) -> impl Iterator<Item = &HaltScope> {
        self.facts.order.halts.keys()
    }

    /// Whether it is certain how the run ends: it is no longer paused with others.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.facts.outcome.is_some() || self.facts.ended.is_some()
    }

    /// The steps with a breakpoint, in the order of the file.
    pub fn breakpoints(&self) -> impl Iterator<Item = StepId> + '_ {
        self.facts.order.breakpoints.iter().map(|at| self.step_id(*at))
    }

    /// The steps that would begin now if the run were not paused, in the order of the file.
    pub fn next_steps(&self) -> impl Iterator<Item = StepId> + '_ {
        self.facts.agenda.iter().filter_map(|item| match item {
            Agenda::Ready(at) => Some(self.step_id(*at)),
            _other => None,
        })
    }

    /// Whether a step's round has begun and not ended, or waits for a person: it hears signals.
    pub(crate) fn is_active(&self, at: usize) -> bool {
        let phase = &self.facts.steps[at].phase;
        *phase != Phase::Pending && !phase.is_ended() && self.is_live(at)
    }

    /// Whether an attempt of the step's current round executes, a stopped one included.
    pub(crate) fn is_executing(&self, at: usize) -> bool {
        let is_in_flight = |key: Key| self.unit_at(key).is_some_and(|unit| unit.stage.is_in_flight());
        let own = Key::step(at)..Key::step(at + 1);
        self.facts.attempts.range(own).next().is_some()
            || self.stops_of_step(at).any(|id| self.current(id).is_some_and(is_in_flight))
    }

    /// Whether any attempt of the run executes.
    pub(crate) fn is_any_executing(&self) -> bool {
        !self.facts.attempts.is_empty() || !self.facts.stops.is_empty()
    }

    /// Whether the gate failed on the evidence of its failure before.
    pub(crate) fn failed_unchanged(&self, at: usize, gate: &str) -> bool {
        self.facts.steps[at].order.failed_on.get(gate).is_some_and(|failed| failed.again)
    }
}

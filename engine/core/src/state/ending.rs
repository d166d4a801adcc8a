//! What `decide` continues with next, and what the end of a run waits for.

use super::agenda::Agenda;
use super::key::Key;
use super::run_state::RunState;
use super::step::Phase;
use everfold_language::definition::Work;

/// What the end of a run waits for, or needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Attempts are to be stopped.
    Stop,
    /// Stopped attempts, or a step of `on_finish`, have not ended.
    Await,
    /// Main steps are to be marked as cancelled or bypassed.
    Sweep,
    /// A step of `on_finish` begins.
    Begin(usize),
    /// A step of `on_finish` is passed over: a second cancel.
    Pass(usize),
    /// The last event.
    Close,
}

impl RunState {
    /// The first entry of the agenda that `decide` can work off now.
    pub(crate) fn next_agenda(&self) -> Option<Agenda> {
        let is_held = self.facts.paused || self.facts.queue.waits;
        if self.facts.ended.is_some() || is_held && self.facts.outcome.is_none() || self.owes_workspace() {
            return None;
        }
        self.facts.agenda.iter().copied().find(|item| match item {
            Agenda::End => self.ending() != Ending::Await,
            Agenda::Signal(None) => self.facts.outcome.is_none(),
            Agenda::Ready(step) => self.is_live(*step) && !self.awaits_stopped(*step),
            other => other.step().is_some_and(|step| self.is_live(step)),
        })
    }

    /// Whether a step that a rework named waits for the end of what the rework stopped (L10). Attempts are
    /// scheduled meanwhile and held back as effects; what begins without one, such as a probe, a task of
    /// people or a timer, begins with its step.
    fn awaits_stopped(&self, step: usize) -> bool {
        let state = &self.facts.steps[step];
        self.facts.rework_stops > 0
            && state.named
            && !state.order.hold
            && !matches!(self.graph.step(step).work, Some(Work::Task(_)))
    }

    /// Whether a step may go on: a main step until the outcome is certain, an `on_finish` step after.
    pub(crate) fn is_live(&self, step: usize) -> bool {
        self.graph.is_finish(step) || self.facts.outcome.is_none()
    }

    /// Where the end of the run stands. Only asked when the agenda says `End`.
    pub(crate) fn ending(&self) -> Ending {
        let facts = &self.facts;
        let is_bypassing = facts.outcome.is_some();
        let must_stop = |key: &&Key| {
            (is_bypassing && !self.graph.is_finish(key.step))
                || (facts.cancels > 1 && self.graph.is_finish(key.step))
        };
        if facts.attempts.iter().any(|key| must_stop(&key)) {
            return Ending::Stop;
        }
        if !facts.stops.is_empty() {
            return Ending::Await;
        }
        if facts.unended > 0 {
            return Ending::Sweep;
        }
        for at in self.graph.main_len()..self.graph.len() {
            match &facts.steps[at].phase {
                ended if ended.is_ended() => {}
                // A run that never began has nothing to tidy up.
                _ if facts.cancels > 1 || facts.queue.waits => return Ending::Pass(at),
                Phase::Pending => return Ending::Begin(at),
                _in_progress => return Ending::Await,
            }
        }
        Ending::Close
    }
}

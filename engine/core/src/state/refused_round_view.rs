//! What is noted and read of rounds that were refused ([`super::refused_rounds`]).

use super::refused_rounds::RoundChange;
use super::run_state::RunState;

impl RunState {
    /// The current round of a step left a commit.
    pub(crate) fn note_round_change(&mut self, at: usize, to: &str) {
        if !self.graph.step(at).compares_with_passed() {
            return;
        }
        let step = &self.facts.steps[at];
        let made = || self.workspace().and_then(|made| made.commit.clone());
        let Some(from) = step.base.clone().or_else(made) else { return };
        if from != to {
            let change = RoundChange { round: step.round, from, to: to.to_owned() };
            self.facts.refused.note(self.graph.step(at).id.clone(), change);
        }
    }

    /// What rounds of the step before this one changed since its gates last passed, oldest first: each from the commit at
    /// which it began to the one that it left.
    pub(crate) fn refused_rounds(&self, at: usize) -> Vec<[&str; 2]> {
        let round = self.facts.steps[at].round;
        let rounds = self.facts.refused.of(&self.graph.step(at).id).iter();
        rounds.filter(|it| it.round != round).map(|it| [it.from.as_str(), it.to.as_str()]).collect()
    }
}

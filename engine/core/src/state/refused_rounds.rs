//! What rounds of a step changed whose gates have not passed since.
//!
//! Law: it is kept for steps alone whose gates compare with it (`diff: { since: passed }`), so that other histories fold to
//! the states that they always did. A step that succeeds, or that a person passes over, forgets its rounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use everfold_base::id::{Round, StepId};

/// Rounds of one step that are remembered; the oldest are forgotten.
pub(crate) const REFUSED_MAX: usize = 100;

/// What a round changed: from the commit at which it began to the newest that it left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoundChange {
    pub(super) round: Round,
    pub(super) from: String,
    pub(super) to: String,
}

/// The changes of rounds, by step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedRounds(BTreeMap<StepId, Vec<RoundChange>>);

impl RefusedRounds {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A round left a commit.
    pub(super) fn note(&mut self, step: StepId, change: RoundChange) {
        let rounds = self.0.entry(step).or_default();
        match rounds.last_mut().filter(|last| last.round == change.round) {
            Some(last) => last.to = change.to,
            None => rounds.push(change),
        }
        let over = rounds.len().saturating_sub(REFUSED_MAX);
        rounds.drain(..over);
    }

    /// What is remembered of a step, oldest first.
    pub(super) fn of(&self, step: &StepId) -> &[RoundChange] {
        self.0.get(step).map_or(&[], Vec::as_slice)
    }

    /// The gates of the step passed, or a person passed over them.
    pub(crate) fn forget(&mut self, step: &StepId) {
        self.0.remove(step);
    }
}

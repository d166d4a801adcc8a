//! A task's row with its history: what happened since which position, in parts.
//!
//! Law: each part begins with where the task stood before it, so that a past position is answered by one part. What is
//! shown as of a position is folded from the same facts by the same code as what is shown now.

use everfold_base::id::{Position, RunId};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::stage_fact::StageFact;
use super::standing::Standing;

/// Facts behind which a part is full.
const FACTS_MAX: usize = 64;

/// What happened in a stretch of positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StageHistory {
    /// The position of the first fact.
    pub(super) first: Position,
    before: Standing,
    facts: Vec<(Position, Timestamp, StageFact)>,
}

/// A task's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StageRecord {
    pub(super) run: RunId,
    pub(super) definition: Hash,
    /// From where on it is to be seen.
    pub(super) position: Position,
    /// Where it stands now.
    pub(super) now: Standing,
    pub(super) history: StageHistory,
}

impl StageRecord {
    pub(super) fn new(run: RunId, definition: Hash, position: Position) -> Self {
        let (now, history) = Default::default();
        Self { run, definition, position, now, history }
    }

    /// Folds what happened. Gives the part of the history that is full, to be stored.
    pub(super) fn add(&mut self, fact: StageFact, position: Position, at: Timestamp) -> Option<StageHistory> {
        let full = (self.history.facts.len() >= FACTS_MAX).then(|| std::mem::take(&mut self.history));
        if self.history.facts.is_empty() {
            (self.history.first, self.history.before) = (position, self.now.clone());
        }
        self.now.apply(&fact, at);
        self.history.facts.push((position, at, fact));
        full
    }
}

impl StageHistory {
    /// Whether it says where the task stood at a position.
    pub(super) fn reaches(&self, position: Position) -> bool {
        self.first <= position || self.facts.is_empty()
    }

    /// Where the task stood at a position that it reaches.
    pub(super) fn at(&self, position: Position) -> Standing {
        let mut standing = self.before.clone();
        for (_, at, fact) in self.facts.iter().take_while(|(place, _, _)| *place <= position) {
            standing.apply(fact, *at);
        }
        standing
    }

    /// Whether something happened after a position.
    pub(super) fn is_older_than(&self, position: Position) -> bool {
        self.facts.last().is_none_or(|(last, _, _)| *last <= position)
    }
}

//! The attempts of a run that asked budgets for funds.
//!
//! Law: an attempt that is held by a budget does not count as work in progress.
//! Part of [`super::activity`]; budgets and attempts are stored one after the other.

use std::collections::BTreeMap;

use everfold_base::id::AttemptId;
use everfold_core::event::BudgetTerms;
use serde::{Deserialize, Serialize};

/// Attempts that asked for funds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Funding {
    /// Budgets that the run shares with other runs.
    shared: Vec<String>,
    attempts: BTreeMap<AttemptId, FundingPhase>,
}

/// How far an attempt's request for funds is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum FundingPhase {
    Asked,
    Refused,
    Held,
    Granted,
}

impl Funding {
    /// The run's budgets are opened.
    pub(super) fn open(&mut self, budgets: &[BudgetTerms]) {
        let shared = budgets.iter().filter(|budget| budget.scope.is_some());
        self.shared = shared.map(|budget| budget.id.clone()).collect();
    }

    /// An attempt asks for funds; only shared budgets have to answer, and only where it does not wait for one of its run.
    pub(super) fn request(&mut self, id: &AttemptId, waits: bool) {
        let is_held = waits || self.shared.is_empty();
        let phase = if is_held { FundingPhase::Held } else { FundingPhase::Asked };
        self.attempts.insert(id.clone(), phase);
    }

    /// The shared budgets answered.
    pub(super) fn answer(&mut self, id: &AttemptId, is_refused: bool) {
        if let Some(phase) = self.attempts.get_mut(id).filter(|phase| **phase != FundingPhase::Granted) {
            *phase = if is_refused { FundingPhase::Refused } else { FundingPhase::Held };
        }
    }

    /// An attempt has its funds.
    pub(super) fn grant(&mut self, id: &AttemptId) {
        self.attempts.insert(id.clone(), FundingPhase::Granted);
    }

    /// An attempt ended.
    pub(super) fn end(&mut self, id: &AttemptId) {
        self.attempts.remove(id);
    }

    /// A budget's timer fired: in the next period of a shared budget the attempts that it refused ask again.
    pub(super) fn timer_fired(&mut self, name: &str) {
        if name.strip_suffix("/period").is_some_and(|budget| self.shared.iter().any(|known| known == budget))
        {
            self.attempts
                .values_mut()
                .filter(|phase| **phase == FundingPhase::Refused)
                .for_each(|phase| *phase = FundingPhase::Asked);
        }
    }

    /// How many attempts wait for a budget.
    pub(super) fn held(&self) -> usize {
        let waits = |phase: &&FundingPhase| matches!(phase, FundingPhase::Held | FundingPhase::Refused);
        self.attempts.values().filter(waits).count()
    }
}

//! Budgets without room.

use crate::event::{BudgetExceeded, BudgetRaised, BudgetRestored};
use crate::state::RunState;

impl RunState {
    pub(super) fn budget_exceeded(&mut self, _event: &BudgetExceeded) {}

    pub(super) fn budget_restored(&mut self, _event: &BudgetRestored) {}

    pub(super) fn budget_raised(&mut self, _event: &BudgetRaised) {}
}

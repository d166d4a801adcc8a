//! How a budget without room stands, in words, with times as other texts have them.

use everfold_engine::state::{BudgetView, RunState};
use everfold_engine::why::{CauseNode, budget_sentence};

use crate::view::budget_summary;

/// How a budget stands that has no room, with times as other texts have them; `None`: it has room.
pub(super) fn sentence_of(budget: &BudgetView<'_>) -> Option<String> {
    Some(budget_sentence(budget)?.replacen(&budget.summary(), &budget_summary(budget), 1))
}

/// Says how a budget of the run stands with times as other texts have them.
pub(super) fn say_times(state: &RunState, cause: &mut CauseNode) {
    let name = cause.subject.name.as_deref();
    let mut budgets = state.budgets(state.last_at());
    let Some(budget) = budgets.find(|budget| Some(budget.terms.id.as_str()) == name) else { return };
    if budget_sentence(&budget).is_some_and(|known| known == cause.sentence) {
        cause.sentence = sentence_of(&budget).unwrap_or_default();
    }
}

//! Budgets that are used up, or reserved.

use super::cause::{CauseKind, CauseNode, CauseSubject};
use super::explainer::Explainer;
use super::trail::Topic;
use crate::budgets::named;
use crate::event::taken;
use crate::state::BudgetView;

/// The budgets of the run that have no room.
pub(super) fn budgets(explainer: &Explainer<'_>) -> Vec<CauseNode> {
    let state = explainer.state;
    let mut causes = Vec::new();
    for budget in state.budgets(state.last_at()) {
        let Some(sentence) = budget_sentence(&budget) else { continue };
        let id = &budget.terms.id;
        let until = budget.period.map(|(_, until)| until);
        let cause = CauseNode::new(CauseKind::Budget, CauseSubject::name(id), sentence).until(until);
        causes.push(explainer.shown(cause, Topic::Budget, id));
    }
    causes
}

/// How a budget stands that has no room; `None`: it has.
#[must_use]
pub fn budget_sentence(budget: &BudgetView<'_>) -> Option<String> {
    budget.over?;
    let shared = budget.terms.scope.as_ref().map(|scope| format!(", shared as {scope},")).unwrap_or_default();
    let how = taken(budget.is_reserved());
    Some(format!("{}{shared} is {how}: {}", named(&budget.terms.id), budget.summary()))
}

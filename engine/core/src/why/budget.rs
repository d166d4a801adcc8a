//! Budgets that are used up, or reserved.

use super::cause::{CauseKind, CauseNode, CauseSubject};
use super::explainer::Explainer;
use super::trail::Topic;
use crate::budgets::{limit, named, shown};
use crate::event::taken;

/// The budgets of the run that have no room.
pub(super) fn budgets(explainer: &Explainer<'_>) -> Vec<CauseNode> {
    let state = explainer.state;
    let mut causes = Vec::new();
    for budget in state.budgets(state.last_at()) {
        let Some(over) = budget.over else { continue };
        let id = &budget.terms.id;
        let is_reserved = budget.is_reserved();
        let of = limit(budget.terms, over, budget.used.raised).map(|limit| match is_reserved {
            true => format!(": {}", budget.summary()),
            false => format!(": {} of {}", shown(over, over.of(budget.used.spent)), shown(over, limit)),
        });
        let shared =
            budget.terms.scope.as_ref().map(|scope| format!(", shared as {scope},")).unwrap_or_default();
        let taken = taken(is_reserved);
        let sentence = format!("{}{shared} is {taken}{}", named(id), of.unwrap_or_default());
        let until = budget.period.map(|(_, until)| until);
        let cause = CauseNode::new(CauseKind::Budget, CauseSubject::name(id), sentence).until(until);
        causes.push(explainer.shown(cause, Topic::Budget, id));
    }
    causes
}

//! Steps that may end without success while the run goes on.

use super::super::{Route, RouteTo, Routes, Work};
use crate::definition::read::StepDraft;

/// Why a step may end without success while the run goes on: its failure, or the end of its time, is tolerated.
pub(super) fn may_be_tolerated(draft: &StepDraft) -> Option<&'static str> {
    let step = &draft.step;
    if continues(&step.on_fail) {
        return Some("its failure may be tolerated");
    }
    let (over, refused) = match &step.work {
        Some(Work::Approval(approval)) => {
            (&approval.on_timeout, [&approval.on_reject, &approval.on_changes].into_iter().any(continues))
        }
        Some(Work::Question(question)) => (&question.on_timeout, false),
        Some(Work::Wait(wait)) => (&wait.on_timeout, false),
        Some(Work::Task(_)) | None => match &step.ask {
            Some(ask) => (&ask.on_timeout, false),
            None => return None,
        },
    };
    if continues(over) {
        return Some("what it waits for may not come in time, and the run goes on");
    }
    refused.then_some("people may decide against it, and the run goes on")
}

fn continues(routes: &Routes) -> bool {
    let chain = |route| std::iter::successors(Some(route), |route: &&Route| route.then.as_deref());
    routes.0.iter().any(|route| chain(route).any(|route| route.to == RouteTo::Continue))
}

//! Loops that no person ends: does every way round lead through a person who must act?
//!
//! Law: a person ends a loop only where the round cannot get from the rework's target to its route without
//! that person. A person who may be passed over (a condition, an empty list, a standby step that was not named,
//! a deadline or a time limit that the round goes on from, what it needs) ends none.

use std::collections::BTreeMap;

use super::super::{Join, Route, RouteMax, RouteTo, Routes, Step, Work};
use super::upstream::Upstream;
use crate::definition::read::StepDraft;
use everfold_base::json::Value;

/// The graph, for the search for people.
pub(super) struct Loops<'a> {
    pub(super) drafts: &'a [StepDraft],
    pub(super) needs: &'a [Vec<usize>],
    /// The steps, each after those that it needs.
    pub(super) order: &'a [usize],
    pub(super) upstream: &'a Upstream,
    /// Where each step stands.
    pub(super) index: &'a BTreeMap<&'a str, usize>,
}

impl Loops<'_> {
    /// Whether a round that begins at `target` gets to the routes of `step` without a person in it.
    pub(super) fn goes_round_alone(&self, target: usize, step: usize) -> bool {
        let begins_anew = |at: usize| at == target || self.upstream.contains(at, target);
        // What does not begin anew has ended, and holds up nothing.
        let mut alone = vec![true; self.drafts.len()];
        for &at in self.order.iter().filter(|at| begins_anew(**at)) {
            let joins_any = self.drafts[at].step.join == Join::Any && self.needs[at].len() > 1;
            let mut needs = self.needs[at].iter();
            let starts = match (at == target, joins_any) {
                (true, _) => true,
                (false, true) => needs.any(|need| alone[*need]),
                (false, false) => needs.all(|need| alone[*need]),
            };
            alone[at] = starts && !self.must_act(at, at == target, at == step);
        }
        alone[step]
    }

    /// Whether a round of the step waits until a person acts. A route of the step itself is only followed
    /// where the step ran, so its own condition passes no person over.
    fn must_act(&self, at: usize, is_target: bool, is_own: bool) -> bool {
        let step = &self.drafts[at].step;
        let (is_limited, on_timeout) = match &step.work {
            // Votes of a former round may count on: then people have nothing to decide.
            Some(Work::Approval(approval)) if approval.keep_unchanged => return false,
            Some(Work::Approval(approval)) => (approval.timeout.is_some(), &approval.on_timeout),
            Some(Work::Question(question)) => (question.timeout.is_some(), &question.on_timeout),
            Some(Work::Task(_) | Work::Wait(_)) | None => return false,
        };
        let on_timeout = if on_timeout.is_empty() { &step.on_fail } else { on_timeout };
        let is_passed_over = ((step.when.is_some() || self.upstream.may_be_passed_over(at)) && !is_own)
            || (step.standby && !is_target)
            || may_have_no_items(step);
        let goes_on_by_itself = (is_limited && self.goes_on(on_timeout))
            || (step.deadline.is_some() && self.goes_on(&step.on_fail));
        !is_passed_over && !goes_on_by_itself
    }

    /// Whether some of the routes goes on without a person, as often as it comes.
    fn goes_on(&self, routes: &Routes) -> bool {
        let chain = |route| std::iter::successors(Some(route), |route: &&Route| route.then.as_deref());
        routes.0.iter().any(|route| chain(route).any(|route| self.is_endless(route)))
    }

    fn is_endless(&self, route: &Route) -> bool {
        match &route.to {
            RouteTo::Continue => true,
            RouteTo::Rework(target) => {
                let target = self.index.get(target.as_str()).map(|at| &self.drafts[*at].step);
                let is_bounded = target.is_some_and(|target| target.max_rounds.is_some());
                route.max == Some(RouteMax::Unlimited) && !route.hold && !is_bounded
            }
            _it_ends_or_waits => false,
        }
    }
}

/// Whether a step with `foreach` may have nothing to ask.
fn may_have_no_items(step: &Step) -> bool {
    let Some(foreach) = &step.foreach else { return false };
    !matches!(foreach.items.source(), Value::Array(items) if !items.is_empty())
}

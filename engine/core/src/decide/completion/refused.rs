//! People decided against the work of a step, or did not answer in time: which route that takes.

use crate::state::{Stage, StepState, Unit};
use everfold_language::definition::{Routes, Step, Vote, Work};

/// People decided against the work, or an answer or signal did not come in time: where that leads, and which
/// people said what.
pub(super) struct Refused<'a> {
    pub(super) routes: &'a Routes,
    pub(super) place: &'static str,
    pub(super) by: Option<String>,
    pub(super) findings: Option<String>,
}

impl<'a> Refused<'a> {
    /// How people refused a step. A refused item leads where it leads for a step without items; of several,
    /// the step follows one that a person rejected, else one that a person wants changed, else the first of the list.
    pub(super) fn of_step(step: &'a Step, facts: &StepState) -> Option<Self> {
        let Some(items) = &facts.items else { return Self::of(step, [&facts.unit]) };
        let failed = || items.units.iter().filter(|unit| unit.stage == Stage::Failed);
        let voted = |vote| failed().find(|unit| refusal_of(unit) == Some(Against::Vote(vote)));
        let first = voted(Vote::Reject).or_else(|| voted(Vote::Changes)).or_else(|| failed().next())?;
        Self::of(step, items.units.iter().filter(|other| Self::is_like(first, other)))
    }

    /// How people refused the units of one step, all alike; `None` where people did not end them.
    pub(super) fn of<'u>(step: &'a Step, units: impl IntoIterator<Item = &'u Unit>) -> Option<Self> {
        let mut units = units.into_iter().peekable();
        let first = *units.peek()?;
        let (own, place) = match (refusal_of(first)?, &step.work) {
            (Against::Vote(Vote::Changes), Some(Work::Approval(approval))) => {
                (Some(&approval.on_changes), "on_changes")
            }
            (Against::Vote(_), Some(Work::Approval(approval))) => (Some(&approval.on_reject), "on_reject"),
            (Against::Vote(_), _) => return None,
            (Against::Time, Some(Work::Approval(approval))) => (Some(&approval.on_timeout), "on_timeout"),
            (Against::Time, Some(Work::Question(question))) => (Some(&question.on_timeout), "on_timeout"),
            (Against::Time, Some(Work::Wait(wait))) => (Some(&wait.on_timeout), "on_timeout"),
            (Against::Time, _) => (step.ask.as_ref().map(|ask| &ask.on_timeout), "on_timeout"),
        };
        let (routes, place) = match own {
            Some(own) if !own.is_empty() => (own, place),
            _without_own_route => (&step.on_fail, "on_fail"),
        };
        let (mut by, mut findings) = (Vec::new(), Vec::new());
        for approval in units.filter_map(Unit::approval) {
            let Some(vote) = approval.decision else { continue };
            by.extend(approval.votes.iter().filter(|(_, cast)| cast.vote == vote).map(|(by, _)| by.clone()));
            findings.extend(approval.remarks_text(vote));
        }
        by.sort_unstable();
        by.dedup();
        let by = (!by.is_empty()).then(|| by.join(", "));
        let findings = (!findings.is_empty()).then(|| findings.join("\n"));
        Some(Self { routes, place, by, findings })
    }

    /// Whether people ended both alike.
    fn is_like(one: &Unit, other: &Unit) -> bool {
        let one = refusal_of(one);
        one.is_some() && one == refusal_of(other)
    }
}

/// What ended a unit that waited for people.
#[derive(PartialEq, Eq)]
pub(super) enum Against {
    Vote(Vote),
    Time,
}

pub(super) fn refusal_of(unit: &Unit) -> Option<Against> {
    if unit.is_expired() {
        return Some(Against::Time);
    }
    let decision = unit.approval()?.decision?;
    (decision != Vote::Approve).then_some(Against::Vote(decision))
}

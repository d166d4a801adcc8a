//! `rework: previous`: which step that is, for each step that has such a route.
//!
//! Law: it is resolved once, when the file is read; a definition names steps only.

use super::super::codes::Code;
use super::super::read::PipelineReader;
use super::super::{Ask, Gate, Poll, Question, Route, RouteTo, Routes, Step, Wait, Work};
use super::upstream::Upstream;
use crate::definition::read::StepDraft;
use everfold_base::id::StepId;

/// Stands for the stage above that of the step.
const PREVIOUS: &str = "previous";

/// Puts the step that it stands for in place of `previous`, unless a step has that name.
pub(super) fn resolve(reader: &mut PipelineReader<'_>, drafts: &mut [StepDraft], upstream: &Upstream) {
    if drafts.iter().any(|draft| !draft.finish && draft.step.id.as_str() == PREVIOUS) {
        return;
    }
    let mut used = std::mem::take(&mut reader.reworks);
    used.retain_mut(|rework| {
        if rework.target != PREVIOUS {
            return true;
        }
        let Some(at) = rework.step.filter(|at| !drafts[*at].finish) else {
            // A route of `defaults` is resolved with each step that it stands for.
            if rework.of_run {
                let message = "`previous` is the stage above that of a step: here stands none";
                reader.report(Code::ReworkTarget, rework.span.clone(), message).hint = Some(
                    "put the route into the `on_signal` of a step, or add `steps: [STEP, …]`".to_owned(),
                );
            }
            return false;
        };
        let target = drafts[previous_of(drafts, upstream, at)].step.id.clone();
        each_route(&mut drafts[at].step, &mut |route| put(route, &target));
        rework.target = target.to_string();
        true
    });
    reader.reworks = used;
}

/// The first step of the stage above: of the steps that this one needs, those of the nearest other stage. Where there is
/// none above, the first of its own stage.
fn previous_of(drafts: &[StepDraft], upstream: &Upstream, at: usize) -> usize {
    let stage = |step: usize| drafts[step].step.stage.as_deref();
    let needed: Vec<usize> = (0..drafts.len())
        .filter(|other| upstream.contains(at, *other) && !drafts[*other].step.standby)
        .collect();
    let is_same = |step: usize, other: usize| stage(step).is_some() && stage(step) == stage(other);
    let nearest = needed.iter().copied().filter(|other| !is_same(*other, at)).max();
    let of = nearest.unwrap_or(at);
    needed.iter().copied().filter(|other| is_same(*other, of)).min().unwrap_or(of).min(of)
}

fn put(route: &mut Route, target: &StepId) {
    if matches!(&route.to, RouteTo::Rework(step) if step.as_str() == PREVIOUS) {
        route.to = RouteTo::Rework(target.clone());
    }
    if let Some(then) = &mut route.then {
        put(then, target);
    }
}

/// Visits every route of a step.
fn each_route(step: &mut Step, visit: &mut impl FnMut(&mut Route)) {
    let mut all = |routes: &mut Routes| routes.0.iter_mut().for_each(&mut *visit);
    all(&mut step.on_success);
    all(&mut step.on_fail);
    step.on_signal.values_mut().for_each(&mut all);
    if let Some(Ask { on_timeout, .. }) = &mut step.ask {
        all(on_timeout);
    }
    for Gate { on_fail, poll, .. } in &mut step.gates {
        all(on_fail);
        if let Some(Poll { on_timeout, .. }) = poll {
            all(on_timeout);
        }
    }
    match &mut step.work {
        Some(Work::Approval(approval)) => {
            all(&mut approval.on_timeout);
            all(&mut approval.on_changes);
            all(&mut approval.on_reject);
        }
        Some(Work::Question(Question { on_timeout, .. }) | Work::Wait(Wait { on_timeout, .. })) => {
            all(on_timeout);
        }
        Some(Work::Task(_)) | None => {}
    }
}

//! The graph: needs, cycles, what can never run, reworks.

use std::collections::{BTreeMap, BTreeSet};

use super::super::codes::Code;
use super::super::read::PipelineReader;
use super::super::similar::similar;
use super::super::{ExecutorTask, Join, RouteTo, Routes, StepWorkspace, Work, WorkspaceSpec};
use super::approved::approved;
use super::loops::Loops;
use super::previous;
use super::since::own_since;
use super::upstream::Upstream;
use crate::definition::read::StepDraft;
use everfold_base::id::StepId;

/// Makes `needs` explicit and checks the graph. `None` where there is a cycle.
///
/// A step without `needs` needs the nearest step above that is no standby step; a helper between two
/// steps does not come between them. `needs: []` starts at once.
pub(in super::super) fn graph(
    reader: &mut PipelineReader<'_>,
    drafts: &mut [StepDraft],
    workspace: Option<&WorkspaceSpec>,
) -> Option<Upstream> {
    let needs = explicit(reader, drafts);
    let order = order(reader, drafts, &needs)?;
    let upstream = Upstream::new(drafts, &needs, &order);
    previous::resolve(reader, drafts, &upstream);
    reworks(reader, drafts, &needs, &order, &upstream);
    dead_ends(reader, drafts, &needs);
    let is_worktree = matches!(workspace, Some(WorkspaceSpec::Git(_) | WorkspaceSpec::Parent));
    if is_worktree {
        shared_worktree(reader, drafts, &upstream);
    }
    drafts.iter().for_each(|draft| worktree_keys(reader, draft, is_worktree));
    drafts.iter().for_each(|draft| own_since(reader, draft));
    approved(reader, drafts, &upstream, workspace);
    Some(upstream)
}

fn explicit(reader: &mut PipelineReader<'_>, drafts: &mut [StepDraft]) -> Vec<Vec<usize>> {
    let names: BTreeMap<String, usize> = drafts
        .iter()
        .enumerate()
        .filter(|(_, draft)| !draft.finish)
        .rev()
        .map(|(index, draft)| (draft.step.id.to_string(), index))
        .collect();
    let mut above = None;
    let mut all = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter_mut().enumerate() {
        let mut needs = Vec::new();
        match &draft.needs {
            _ if draft.finish => {}
            None => needs.extend(above),
            Some(given) => {
                for (name, span) in given {
                    match names.get(name.as_str()) {
                        Some(need) => needs.push(*need),
                        None if reader.broken.contains(name) => {}
                        None => unknown_step(reader, name, span.clone(), names.keys()),
                    }
                }
            }
        }
        if !draft.step.standby && !draft.finish {
            above = Some(index);
        }
        all.push(needs);
    }
    let ids: Vec<StepId> = drafts.iter().map(|draft| draft.step.id.clone()).collect();
    for (draft, needs) in drafts.iter_mut().zip(&all) {
        draft.step.needs = needs.iter().map(|need| ids[*need].clone()).collect();
    }
    all
}

fn unknown_step<'a>(
    reader: &mut PipelineReader<'_>,
    name: &str,
    span: std::ops::Range<usize>,
    names: impl Iterator<Item = &'a String> + Clone,
) {
    let hint = match similar(name, names.clone().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("steps: {}", names.cloned().collect::<Vec<_>>().join(", ")),
    };
    reader.report(Code::UnknownStep, span, format!("there is no step “{name}”")).hint = Some(hint);
}

/// The steps, each after those that it needs; reports a cycle.
fn order(reader: &mut PipelineReader<'_>, drafts: &[StepDraft], needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut unmet: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (step, needs) in needs.iter().enumerate() {
        for need in needs {
            dependants[*need].push(step);
        }
    }
    let mut order: Vec<usize> = (0..needs.len()).filter(|step| unmet[*step] == 0).collect();
    let mut at = 0;
    while let Some(&step) = order.get(at) {
        for &dependant in &dependants[step] {
            unmet[dependant] -= 1;
            if unmet[dependant] == 0 {
                order.push(dependant);
            }
        }
        at += 1;
    }
    if order.len() == needs.len() {
        return Some(order);
    }
    // Every step left over lies on a cycle or behind one: walking up its needs finds the cycle.
    let mut left: BTreeSet<usize> = (0..needs.len()).filter(|step| unmet[*step] > 0).collect();
    while let Some(&start) = left.first() {
        let mut path = Vec::new();
        let mut step = start;
        let cycle = loop {
            if let Some(first) = path.iter().position(|seen| *seen == step) {
                break Some(path[first..].to_vec());
            }
            path.push(step);
            match needs[step].iter().find(|need| unmet[**need] > 0) {
                Some(need) if left.contains(need) => step = *need,
                _ => break None,
            }
        };
        if let Some(cycle) = cycle {
            report_cycle(reader, drafts, cycle);
        }
        path.iter().for_each(|step| {
            left.remove(step);
        });
    }
    None
}

fn report_cycle(reader: &mut PipelineReader<'_>, drafts: &[StepDraft], mut cycle: Vec<usize>) {
    // From the step that stands first in the file, in the order in which they would run.
    cycle.reverse();
    let first = cycle.iter().enumerate().min_by_key(|(_, step)| **step).map_or(0, |(at, _)| at);
    cycle.rotate_left(first);
    let name = |step: usize| drafts[step].step.id.as_str();
    let mut names: Vec<&str> = cycle.iter().map(|step| name(*step)).collect();
    names.push(names[0]);
    let message = match cycle.as_slice() {
        [one] => format!("“{}” needs itself", name(*one)),
        _ => format!("these steps wait for each other: {}", names.join(" → ")),
    };
    // The place is the need that goes backwards: of the step that stands first in the file.
    let draft = &drafts[cycle[0]];
    let last = names[names.len() - 2];
    let place = draft
        .needs
        .iter()
        .flatten()
        .find(|(need, _)| need == last)
        .map_or_else(|| draft.id_span.clone(), |(_, span)| span.clone());
    let implicit = cycle.iter().find(|step| drafts[**step].needs.is_none());
    let hint = match implicit {
        Some(step) => format!(
            "“{}” needs the step above it, because it has no `needs`; write `needs: []` there to start it at once",
            name(*step)
        ),
        None => "a loop is a route backwards: on_fail: {rework: STEP}".to_owned(),
    };
    reader.report(Code::Cycle, place, message).hint = Some(hint);
}

fn reworks(
    reader: &mut PipelineReader<'_>,
    drafts: &[StepDraft],
    needs: &[Vec<usize>],
    order: &[usize],
    upstream: &Upstream,
) {
    let index: BTreeMap<&str, usize> = drafts
        .iter()
        .enumerate()
        .filter(|(_, draft)| !draft.finish)
        .rev()
        .map(|(index, draft)| (draft.step.id.as_str(), index))
        .collect();
    let loops = Loops { drafts, needs, order, upstream, index: &index };
    let mut named: BTreeSet<usize> = BTreeSet::new();
    for rework in std::mem::take(&mut reader.reworks) {
        let Some(target) = index.get(rework.target.as_str()).copied() else {
            if !reader.broken.contains(&rework.target) {
                let names: Vec<String> = index.keys().map(|name| (*name).to_owned()).collect();
                unknown_step(reader, &rework.target, rework.span, names.iter());
            }
            continue;
        };
        named.insert(target);
        if let (Some(span), None) = (&rework.then, &drafts[target].step.max_rounds) {
            let message =
                "`then` is never reached: this rework is unlimited, and so are the rounds of its target";
            reader.report(Code::Combination, span.clone(), message).hint =
                Some("give `max` a number, set `max_rounds` of the target, or take `then` out".to_owned());
        }
        let unlimited = rework.unlimited.filter(|_| !rework.hold && drafts[target].step.max_rounds.is_none());
        if rework.of_run
            && let Some(span) = &unlimited
        {
            unbounded(reader, span.clone());
        }
        let Some(step) = rework.step.filter(|step| !drafts[*step].finish) else { continue };
        if step != target && !upstream.contains(step, target) {
            let (from, to) = (&drafts[step].step.id, &drafts[target].step.id);
            let hint = if drafts[target].step.standby {
                format!("add “{to}” to the `needs` of “{from}”: then “{from}” is judged again after it")
            } else {
                format!("a rework goes back to a step that “{from}” needs, or to “{from}” itself")
            };
            reader
                .report(Code::ReworkTarget, rework.span, format!("“{to}” does not lie before “{from}”"))
                .hint = Some(hint);
            continue;
        }
        if let Some(span) = unlimited
            && loops.goes_round_alone(target, step)
        {
            unbounded(reader, span);
        }
    }
    for (at, draft) in drafts.iter().enumerate() {
        if draft.step.standby && !draft.finish && !named.contains(&at) {
            let message = format!("no route names the standby step “{}”: it would never run", draft.step.id);
            reader.report(Code::StandbyUnnamed, draft.standby_span.clone(), message).hint =
                Some(format!("a gate sends work to it: on_fail: {{rework: {}}}", draft.step.id));
        }
    }
}

fn unbounded(reader: &mut PipelineReader<'_>, span: std::ops::Range<usize>) {
    reader.report(Code::Unbounded, span, "this loop has no end: no person must take part in it").hint = Some(
        "give a number, write `hold: true`, set `max_rounds` of the target, or put an approval between the target and this route \
         that nothing passes over: no `when`, no branch beside it, no time limit that the round goes on from"
            .to_owned(),
    );
}

/// Steps behind one that always ends the run, and steps whose condition is never true.
fn dead_ends(reader: &mut PipelineReader<'_>, drafts: &[StepDraft], needs: &[Vec<usize>]) {
    for (at, draft) in drafts.iter().enumerate() {
        if draft.step.when.as_ref().is_some_and(|when| when.source().trim() == "false") {
            let message = format!("“{}” never runs: its `when` is always false", draft.step.id);
            reader.report(Code::Unreachable, draft.when_span.clone(), message);
        }
        if draft.finish || !always_ends(&draft.step.on_success) {
            continue;
        }
        for (other, needs) in needs.iter().enumerate() {
            let other_way = drafts[other].step.join == Join::Any && needs.len() > 1;
            if needs.contains(&at) && !other_way {
                let id = &draft.step.id;
                let message = format!(
                    "“{}” never starts: `on_success` of “{id}” always ends the run",
                    drafts[other].step.id
                );
                reader.report(Code::Unreachable, drafts[other].id_span.clone(), message).hint =
                    Some(format!("give the route of “{id}” a `when`"));
            }
        }
    }
}

fn always_ends(routes: &Routes) -> bool {
    routes.0.first().is_some_and(|route| {
        route.when.is_none() && matches!(route.to, RouteTo::Fail { .. } | RouteTo::Finish(_))
    })
}

/// Reports what a step asks of a worktree that it does not have.
fn worktree_keys(reader: &mut PipelineReader<'_>, draft: &StepDraft, is_worktree: bool) {
    let (step, span) = (&draft.step, || draft.id_span.clone());
    let is_child = matches!(&step.work, Some(Work::Task(task)) if task.kind == ExecutorTask::RUN);
    let is_own = step.workspace == StepWorkspace::Own;
    if is_own && !is_worktree {
        let message = format!("“{}” has `workspace: own`, and the pipeline has no worktree to copy", step.id);
        reader.report(Code::Combination, span(), message).hint =
            Some("give the pipeline a `workspace: {git: …}`, or the step `workspace: none`".to_owned());
    }
    if is_own && is_child {
        let message = format!("“{}” is a child run, which has its own workspace or its parent's", step.id);
        reader.report(Code::Combination, span(), message).hint =
            Some("take `workspace: own` out, or put it on the steps of the child".to_owned());
    }
    let works_there = is_worktree && step.workspace == StepWorkspace::Run;
    if step.clean && !works_there {
        let message = format!("“{}” has `clean`, and does not work in the run's worktree", step.id);
        reader.report(Code::Combination, span(), message).hint =
            Some("`clean` resets the worktree before a retry; elsewhere there is none".to_owned());
    }
    if works_there && step.has_items_at_once() && (step.clean || step.changes_worktree()) {
        let message = match step.clean {
            true => format!("a retry of one item of “{}” resets the worktree of all", step.id),
            false => format!("items of “{}” may run in one worktree at once", step.id),
        };
        reader.report(Code::Shared, span(), message).hint =
            Some("add max_in_flight: 1, or give the step `workspace: own` or `none`".to_owned());
    }
}

/// Points out steps that may run in the run's worktree at the same time.
fn shared_worktree(reader: &mut PipelineReader<'_>, drafts: &[StepDraft], upstream: &Upstream) {
    let inside = |draft: &StepDraft| !draft.finish && !draft.step.standby && draft.step.changes_worktree();
    for (at, draft) in drafts.iter().enumerate().filter(|(_, draft)| inside(draft)) {
        let beside = drafts[..at].iter().enumerate().find(|(other, step)| {
            inside(step) && !upstream.contains(at, *other) && !upstream.contains(*other, at)
        });
        if let Some((_, other)) = beside {
            let message =
                format!("“{}” and “{}” may run in one worktree at once", other.step.id, draft.step.id);
            reader.report(Code::Shared, draft.id_span.clone(), message).hint =
                Some("order them with `needs`, or give one `workspace: own` or `none`".to_owned());
        }
    }
}

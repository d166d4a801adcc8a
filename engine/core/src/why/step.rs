//! Why a step is where it is.

use everfold_base::id::{Round, StepId, StepPath};

use super::cause::{CauseKind, CauseNode, CauseSubject};
use super::condition::{clipped, of_condition};
use super::explainer::{DEPTH_MAX, Explainer, NAMED_MAX};
use super::failure::of_failure;
use super::gate::{judged, rework, verdict};
use super::standstill::{before_it_begins, standstill};
use super::trail::{NotedFact, Topic, Trail};
use super::work::{blocked, of_unit, stopping};
use crate::event::SkipReason;
use crate::policy::Verdict;
use crate::state::{Agenda, Key, Phase, RunState, Stage};

/// Why a step is where it is; `None`: there is no such step.
#[must_use]
pub fn of_step(state: &RunState, trail: &Trail, step: &StepId) -> Option<Vec<CauseNode>> {
    let at = state.graph.find(step)?;
    let explainer = Explainer::new(state, trail);
    Some(step_causes(&explainer, at, 0))
}

/// Why a step is where it is, `depth` causes below the question.
pub(super) fn step_causes(explainer: &Explainer<'_>, at: usize, depth: usize) -> Vec<CauseNode> {
    let state = explainer.state;
    let facts = &state.facts.steps[at];
    if depth >= DEPTH_MAX || !explainer.is_first(at) {
        return Vec::new();
    }
    let path = StepPath::step(&state.step_id(at));
    let mut causes = match &facts.phase {
        Phase::Pending => pending(explainer, at, &path, depth),
        Phase::Working => working(explainer, at, &path),
        Phase::Judging => vec![judged(explainer, at)],
        Phase::Settling(_) => {
            let held = standstill(explainer);
            let (kind, then) = match held.is_empty() {
                true => (CauseKind::Engine, "and the engine decides what follows"),
                false => (CauseKind::Paused, "and what follows is decided when the run goes on"),
            };
            let sentence = format!("the work of {path} has ended, {then}");
            vec![CauseNode::new(kind, CauseSubject::step(&path), sentence).because(held)]
        }
        Phase::Blocked(reason) => vec![blocked(explainer, &path, reason)],
        Phase::Succeeded => vec![succeeded(explainer, at, &path)],
        Phase::Failed { tolerated } => vec![failed(explainer, at, &path, *tolerated)],
        Phase::Skipped => vec![skipped(explainer, at, &path)],
        Phase::Cancelled => {
            let sentence = format!("{path} was ended with its run, or cancelled");
            let cause = CauseNode::new(CauseKind::Cancelled, CauseSubject::step(&path), sentence);
            vec![explainer.shown_at(cause, Topic::Ended, &path)]
        }
    };
    causes.extend(state.stops_of_step(at).take(NAMED_MAX).filter_map(|id| {
        let is_said = state.current(id).is_some() && facts.phase == Phase::Working;
        let reason = state.facts.stops.get(id).filter(|_| !is_said)?;
        Some(stopping(explainer, id, *reason))
    }));
    let is_sent_back = facts.round > Round(1) || facts.phase == Phase::Pending && facts.rework.is_some();
    if is_sent_back {
        causes.extend(rework(explainer, at));
    }
    causes.retain(|_| explainer.has_room());
    causes
}

fn pending(explainer: &Explainer<'_>, at: usize, path: &StepPath, depth: usize) -> Vec<CauseNode> {
    let state = explainer.state;
    let (step, subject) = (state.graph.step(at), CauseSubject::step(path));
    if state.is_ended() {
        let sentence = format!("{path} did not begin before the run ended");
        return vec![CauseNode::new(CauseKind::Ended, subject, sentence).since(state.ended_at())];
    }
    if state.graph.is_finish(at) && state.facts.outcome.is_none() {
        let sentence = format!("{path} begins when the run is about to end");
        return vec![CauseNode::new(CauseKind::Need, subject, sentence)];
    }
    if state.facts.agenda.contains(&Agenda::Ready(at)) {
        let held = standstill(explainer);
        let sentence = format!("{path} is next");
        let kind = if held.is_empty() { CauseKind::Engine } else { CauseKind::Paused };
        return vec![CauseNode::new(kind, subject, sentence).because(held)];
    }
    let open: Vec<usize> = state
        .graph
        .needs(at)
        .iter()
        .copied()
        .filter(|need| !state.facts.steps[*need].phase.is_satisfied())
        .collect();
    if !open.is_empty() {
        let mut causes = Vec::new();
        for need in open.iter().take(NAMED_MAX) {
            let sentence = format!("{path} begins when {} has ended", state.step_id(*need));
            let name = state.step_id(*need).to_string();
            let why = step_causes(explainer, *need, depth + 1);
            causes.push(CauseNode::new(CauseKind::Need, subject.clone().named(name), sentence).because(why));
        }
        if open.len() > NAMED_MAX {
            let sentence = format!("{path} needs {} further steps", open.len() - NAMED_MAX);
            causes.push(CauseNode::new(CauseKind::More, subject, sentence));
        }
        return causes;
    }
    if step.standby {
        let sentence = format!("{path} is a standby step: it begins only when a route names it");
        return vec![CauseNode::new(CauseKind::Standby, subject, sentence)];
    }
    let before = before_it_begins(explainer);
    let sentence = format!("{path} has not begun");
    let kind = if before.is_empty() { CauseKind::Engine } else { CauseKind::Need };
    vec![CauseNode::new(kind, subject, sentence).because(before)]
}

fn working(explainer: &Explainer<'_>, at: usize, path: &StepPath) -> Vec<CauseNode> {
    let state = explainer.state;
    let Some(items) = &state.facts.steps[at].items else {
        let found = of_unit(explainer, Key::step(at));
        return found.into_iter().collect();
    };
    let keys: Vec<(Key, &Stage)> = (0..items.units.len())
        .filter_map(|item| Some(Key { step: at, item: Some(u32::try_from(item).ok()?) }))
        .filter_map(|key| Some((key, &state.unit_at(key)?.stage)))
        .filter(|(_, stage)| !stage.is_over())
        .collect();
    let mut open: Vec<CauseNode> = Vec::new();
    let mut further: Vec<String> = Vec::new();
    let mut more = 0;
    for (rank, words) in
        [(0, "wait for people"), (1, "wait for their next attempt"), (2, "are at work or about to be")]
    {
        let mut alike = keys.iter().filter(|(_, stage)| item_rank(stage) == rank);
        open.extend(alike.by_ref().take(NAMED_MAX).filter_map(|(key, _)| of_unit(explainer, *key)));
        let unnamed = alike.count();
        if unnamed > 0 {
            more += unnamed;
            further.push(format!("{unnamed} {words}"));
        }
    }
    if more > 0 {
        let sentence = format!("{more} further items of {path} have not ended: {}", further.join(", "));
        open.push(CauseNode::new(CauseKind::More, CauseSubject::step(path), sentence));
    }
    let left = items.total().saturating_sub(items.units.len());
    if left > 0 && !items.stopped {
        let at_once = items.max_in_flight.map(|max| format!(", {max} at once")).unwrap_or_default();
        let sentence =
            format!("{left} of {} items of {path} begin when others have ended{at_once}", items.total());
        open.push(CauseNode::new(CauseKind::Need, CauseSubject::step(path), sentence));
    }
    if open.is_empty() {
        let sentence = format!("{} of {} items of {path} have ended", items.ended(), items.total());
        open.push(CauseNode::new(CauseKind::Engine, CauseSubject::step(path), sentence));
    }
    open
}

/// What holds up an item: people, its next attempt, its work.
fn item_rank(stage: &Stage) -> u8 {
    match stage {
        Stage::Asking | Stage::Blocked(_) => 0,
        Stage::RetryAt(_) => 1,
        _at_work => 2,
    }
}

fn succeeded(explainer: &Explainer<'_>, at: usize, path: &StepPath) -> CauseNode {
    let facts = &explainer.state.facts.steps[at];
    let round = if facts.round > Round(1) { format!(" in round {}", facts.round) } else { String::new() };
    let passed: Vec<&str> = facts
        .gates
        .iter()
        .filter(|gate| gate.verdict == Verdict::Pass)
        .map(|gate| gate.gate.as_str())
        .collect();
    let gates = match passed.len() {
        0 => String::new(),
        1 => format!(": the gate {} passed", passed[0]),
        _several => format!(": the gates {} passed", passed.join(", ")),
    };
    let sentence = format!("{path} succeeded{round}{gates}");
    let cause =
        CauseNode::new(CauseKind::Succeeded, CauseSubject::step(path), sentence).since(facts.ended_at);
    explainer.shown_at(cause, Topic::Ended, path)
}

fn failed(explainer: &Explainer<'_>, at: usize, path: &StepPath, tolerated: bool) -> CauseNode {
    let facts = &explainer.state.facts.steps[at];
    let failure = facts.failure.as_ref().or(facts.unit.failure.as_ref());
    let what = failure.map(|failure| {
        let code = failure.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
        format!(" ({}{code}): {}", failure.kind, clipped(&failure.message))
    });
    let goes_on = if tolerated { ", and the run goes on" } else { "" };
    let sentence = format!("{path} failed{}{goes_on}", what.unwrap_or_default());
    let cause = CauseNode::new(CauseKind::Failed, CauseSubject::step(path), sentence).since(facts.ended_at);
    let step = &path.step;
    let gates = facts.gates.iter().filter(|gate| gate.verdict == Verdict::Fail && !gate.tolerated);
    let mut why: Vec<CauseNode> =
        gates.take(NAMED_MAX).filter_map(|gate| verdict(explainer, step, &gate.gate, facts.round)).collect();
    if why.is_empty() {
        why.extend(of_failure(explainer, path));
    }
    explainer.shown_at(cause, Topic::Ended, path).because(why)
}

/// Why a step was passed over, in words.
#[must_use]
pub fn skip_message(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::When => "its `when` was false",
        SkipReason::Standby => "it is a standby step, and no route named it",
        SkipReason::Bypassed => "the run was finished before",
        SkipReason::Person => "a person passed it over",
        SkipReason::Join => "what it needs did not succeed",
    }
}

fn skipped(explainer: &Explainer<'_>, at: usize, path: &StepPath) -> CauseNode {
    let state = explainer.state;
    let reason = match explainer.newest(Topic::Ended, &path.to_string()).map(|event| &event.noted) {
        Some(NotedFact::Skipped(reason)) => Some(*reason),
        _beyond => None,
    };
    let why = match reason {
        // Its condition is a cause of its own.
        Some(SkipReason::When) | None => String::new(),
        Some(reason) => format!(": {}", skip_message(reason)),
    };
    let sentence = format!("{path} was passed over{why}");
    let cause = CauseNode::new(CauseKind::Skipped, CauseSubject::step(path), sentence)
        .since(state.facts.steps[at].ended_at);
    let condition = (reason == Some(SkipReason::When)).then(|| {
        let cause = of_condition(state, &path.step);
        explainer.shown_at(cause, Topic::Ended, path)
    });
    explainer.shown_at(cause, Topic::Ended, path).because(condition)
}

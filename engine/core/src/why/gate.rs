//! What gates said, and the rounds that were asked for because of it.

use everfold_base::id::{Round, StepId, StepPath};

use super::cause::{CauseKind, CauseNode, CauseSubject, LookedAt};
use super::condition::clipped;
use super::explainer::Explainer;
use super::failure::of_failure_in;
use super::trail::{NotedFact, Topic, TrailEvent, of_gate, of_gate_in};
use crate::event::{TimerId, TimerKind};
use crate::policy::Verdict;
use crate::state::{Key, VerdictNote};

/// What a gate said of a round, with the values of its evidence.
pub(super) fn verdict(
    explainer: &Explainer<'_>,
    step: &StepId,
    gate: &str,
    round: Round,
) -> Option<CauseNode> {
    let about = of_gate(step, gate);
    let said_of_round =
        |event: &&TrailEvent| matches!(&event.noted, NotedFact::Verdict { round: of, .. } if *of == round);
    let event = explainer
        .newest(Topic::Failing, &of_gate_in(step, gate, round))
        .or_else(|| explainer.newest(Topic::Verdict, &about).filter(said_of_round));
    let subject =
        CauseSubject { round: Some(round.get()), ..CauseSubject::step(&StepPath::step(step)).named(gate) };
    if let Some(event) = event
        && let NotedFact::Verdict { verdict, reason, evidence, .. } = &event.noted
    {
        let sentence = said(step, gate, round, *verdict, reason, evidence);
        let cause = CauseNode::new(CauseKind::Verdict, subject, sentence).since(event.place.at);
        return Some(CauseNode { evidence: Some(event.evidence()), values: evidence.clone(), ..cause });
    }
    // Beyond the trail: what the run remembers of its verdicts.
    let is_it = |note: &&VerdictNote| note.step == *step && note.gate == gate && note.round == round;
    let note = explainer.state.verdicts().filter(is_it).last()?;
    let sentence = said(step, gate, round, note.verdict, &note.reason, &[]);
    Some(CauseNode::new(CauseKind::Verdict, subject, sentence).since(note.at))
}

fn said(
    step: &StepId,
    gate: &str,
    round: Round,
    verdict: Verdict,
    reason: &str,
    evidence: &[LookedAt],
) -> String {
    let shown: Vec<String> = evidence.iter().map(|seen| format!("{} {}", seen.name, seen.value)).collect();
    let on = if shown.is_empty() { String::new() } else { format!(", on evidence {}", shown.join(", ")) };
    let why = if reason.is_empty() { String::new() } else { format!(": {}", clipped(reason)) };
    format!("the gate {gate} of {step} said {} in round {round}{why}{on}", verdict.as_str())
}

/// The gate that a step is judged by now.
pub(super) fn judged(explainer: &Explainer<'_>, at: usize) -> CauseNode {
    let state = explainer.state;
    let (step, facts) = (state.graph.step(at), &state.facts.steps[at]);
    let path = StepPath::step(&step.id);
    let Some(gate) = step.gates.get(facts.judging.gate) else {
        let sentence = format!("{path} has ended, and the engine decides what follows");
        return CauseNode::new(CauseKind::Engine, CauseSubject::step(&path), sentence);
    };
    let subject =
        CauseSubject { round: Some(facts.round.get()), ..CauseSubject::step(&path).named(&gate.id) };
    let unread = facts.judging.said.as_ref().map(|said| format!(": {}", clipped(said))).unwrap_or_default();
    let timer = TimerId { id: state.attempt_id(Key::step(at)), kind: TimerKind::Poll, name: gate.id.clone() };
    let about = of_gate(&step.id, &gate.id);
    let newest = facts.gates.iter().rev().find(|known| known.gate == gate.id);
    let pending = newest.filter(|known| known.verdict == Verdict::Pending && !known.reason.is_empty());
    let why = pending.map(|known| format!(": {}", clipped(&known.reason))).unwrap_or(unread);
    if state.facts.probing.contains(&at) {
        let sentence = format!("the gate {} of {path} is asked{}", gate.id, nth(facts.judging.polls));
        return explainer.shown(CauseNode::new(CauseKind::Probe, subject, sentence), Topic::Probe, &about);
    }
    if let Some(due) = state.facts.timers.get(&timer) {
        let sentence = format!("the gate {} of {path} has no verdict yet, and is asked again{why}", gate.id);
        let cause =
            CauseNode::new(CauseKind::Probe, subject, sentence).until(*due).since(facts.judging.since);
        return explainer.shown(cause, Topic::Verdict, &about);
    }
    let sentence = format!("the gate {} of {path} is judged next{why}", gate.id);
    CauseNode::new(CauseKind::Engine, subject, sentence).since(facts.judging.since)
}

fn nth(polls: u32) -> String {
    if polls > 1 { format!(", for the {polls}. time") } else { String::new() }
}

/// Why a step has a round that is not its first: what sent it back.
pub(super) fn rework(explainer: &Explainer<'_>, at: usize) -> Option<CauseNode> {
    let state = explainer.state;
    let (step, facts) = (state.graph.step(at), &state.facts.steps[at]);
    let path = StepPath::step(&step.id);
    let event = explainer.newest(Topic::Rework, &path.to_string());
    let (source, used) = match event.map(|event| &event.noted) {
        Some(NotedFact::Rework { source, used, max }) => (source, Some((*used, *max))),
        _none => (&facts.rework.as_ref()?.source, None),
    };
    let times = match used {
        Some((used, Some(max))) => format!(" ({used} of {max})"),
        Some((used, None)) if used > 1 => format!(" (for the {used}. time)"),
        _once => String::new(),
    };
    let (from, round) = (&source.id.path, source.id.round);
    let sentence = match (&source.gate, &source.by) {
        (Some(gate), _) => format!("{path} was sent back because the gate {gate} of {from} failed{times}"),
        (None, Some(by)) => format!("{path} was sent back by {by} at {from}{times}"),
        (None, None) => format!("{path} was sent back because of how round {round} of {from} ended{times}"),
    };
    let subject = CauseSubject { round: Some(facts.round.get()), ..CauseSubject::step(&path) };
    let mut cause = CauseNode::new(CauseKind::Rework, subject, sentence);
    if let Some(event) = event {
        cause.since = Some(event.place.at);
        cause.evidence = Some(event.evidence());
    }
    let said = match &source.gate {
        Some(gate) => verdict(explainer, &from.step, gate, round),
        None if source.by.is_none() => of_failure_in(explainer, from, round),
        None => None,
    };
    Some(cause.because(said))
}

//! Whether a history fits another definition: what a fork onto it must not find changed.
//!
//! Law (L30): what has begun is there too: a step under its name, with the same kind of work, and every gate
//! that was judged, with the same kind of probe. What has not begun, and what begins anew, may differ freely.
//!
//! Called by the fork, before it records anything.

use crate::state::{Phase, RunState, StepState};
use everfold_base::id::{Round, StepId};
use everfold_language::definition::{Graph, Probe, Step, Wait, Work};

/// A part of a history that a definition lacks or declares otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The step.
    pub step: StepId,
    /// The gate, where it is one alone.
    pub gate: Option<String>,
    /// What is different there.
    pub why: String,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.gate {
            None => write!(f, "step “{}”: {}", self.step, self.why),
            Some(gate) => write!(f, "gate “{gate}” of step “{}”: {}", self.step, self.why),
        }
    }
}

/// Everything of a run that does not fit, but for the steps that begin anew.
pub(super) fn misfits(state: &RunState, next: &Graph, reset: &[StepId]) -> Vec<Misfit> {
    let begun = (0..state.graph.len()).filter(|at| has_begun(&state.facts.steps[*at]));
    let kept = begun.filter(|at| !reset.contains(&state.graph.step(*at).id));
    kept.flat_map(|at| of_step(state, at, next)).collect()
}

/// Whether anything happened to a step in this run.
fn has_begun(step: &StepState) -> bool {
    step.phase != Phase::Pending || step.round > Round::ZERO || step.named
}

impl RunState {
    /// Whether anything happened to a step in this run; a step that there is not has not begun.
    #[must_use]
    pub fn has_begun_step(&self, step: &StepId) -> bool {
        self.graph.find(step).is_some_and(|at| has_begun(&self.facts.steps[at]))
    }
}

fn of_step(state: &RunState, at: usize, next: &Graph) -> Vec<Misfit> {
    let (old, facts) = (state.graph.step(at), &state.facts.steps[at]);
    let misfit =
        |gate: Option<&str>, why: String| Misfit { step: old.id.clone(), gate: gate.map(str::to_owned), why };
    let Some(there) = next.find(&old.id) else {
        return vec![misfit(None, "there is no such step".into())];
    };
    if next.is_finish(there) != state.graph.is_finish(at) {
        let place = if next.is_finish(there) { "on_finish" } else { "steps" };
        return vec![misfit(None, format!("it stands under `{place}`"))];
    }
    let new = next.step(there);
    let (was, is) = (kind(old), kind(new));
    if was != is {
        return vec![misfit(None, format!("it was {was}, and is {is}"))];
    }
    let judged =
        facts.judged.keys().chain(facts.probes.keys()).chain(facts.gates.iter().map(|gate| &gate.gate));
    let mut judged: Vec<&String> = judged.chain(facts.order.failed_on.keys()).collect();
    judged.sort_unstable();
    judged.dedup();
    let mut found = Vec::new();
    for id in judged {
        match (probe_of(old, id), probe_of(new, id)) {
            (_, None) => found.push(misfit(Some(id), "there is no such gate".into())),
            (Some(was), Some(is)) if was != is => {
                found.push(misfit(Some(id), format!("its probe was {was}, and is {is}")));
            }
            _same => {}
        }
    }
    let is_judging = matches!(facts.phase, Phase::Judging | Phase::Settling(_) | Phase::Blocked(_));
    if found.is_empty() && is_judging {
        // Its round is in the middle of them.
        let so_far = (facts.judging.gate + 1).min(old.gates.len());
        let so_far = |step: &Step| -> Vec<String> {
            step.gates.iter().take(so_far).map(|gate| gate.id.clone()).collect()
        };
        let (was, is) = (so_far(old), so_far(new));
        if was != is {
            let gate = was.last().map(String::as_str);
            found.push(misfit(gate, "other gates stand before it, and its round is being judged".into()));
        }
    }
    found
}

/// The kind of a step's work, for comparing and for readers.
fn kind(step: &Step) -> String {
    let work = match &step.work {
        None => "without work",
        Some(Work::Task(task)) => task.kind.as_str(),
        Some(Work::Approval(_)) => "an approval",
        Some(Work::Question(_)) => "a question",
        Some(Work::Wait(Wait { signal: Some(_), .. })) => "a wait for a signal",
        Some(Work::Wait(_)) => "a wait",
    };
    match step.foreach {
        Some(_) => format!("{work} for each item"),
        None => work.to_owned(),
    }
}

/// The kind of a gate's probe.
fn probe_of<'a>(step: &'a Step, gate: &str) -> Option<&'a str> {
    let gate = step.gates.iter().find(|known| known.id == gate)?;
    Some(match &gate.probe {
        Probe::Expression(_) => "an expression",
        Probe::Task(task) => &task.kind,
        Probe::All(_) => "all",
        Probe::Any(_) => "any",
        Probe::Not(_) => "not",
        Probe::AtLeast { .. } => "at_least",
    })
}

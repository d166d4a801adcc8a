//! What a run tells of itself, for expressions and for readers ([`super::account`]).

use std::collections::BTreeMap;

use super::account::{StepUsage, VerdictNote};
use super::key::Key;
use super::run_state::RunState;
use super::step::Phase;
use crate::policy::Verdict;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{StepId, StepPath};
use everfold_base::time::Timestamp;

/// Something that went wrong though the run went on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The step; `None`: it is about the run's own output.
    pub step: Option<StepId>,
    /// The gate that failed.
    pub gate: Option<String>,
    /// What went wrong.
    pub failure: Failure,
}

impl RunState {
    /// What a step used up, in all its rounds and attempts.
    #[must_use]
    pub fn usage_of(&self, step: &StepId) -> StepUsage {
        self.facts.account.usage.get(step).cloned().unwrap_or_default()
    }

    /// What all steps used up.
    #[must_use]
    pub fn usage_of_steps(&self) -> StepUsage {
        self.facts.account.usage.values().fold(StepUsage::default(), StepUsage::plus)
    }

    /// How long the work of a step took, and people were asked there, in all its rounds: whole seconds of what has ended.
    #[must_use]
    pub fn worked_seconds(&self, step: &StepId) -> u64 {
        self.facts.account.worked.of(step) / 1000
    }

    /// What the newest round of a step used up, and for how many whole seconds it worked or asked people.
    #[must_use]
    pub fn in_round(&self, step: &StepId) -> (StepUsage, u64) {
        let (used, worked) = self.facts.account.before.get(step).cloned().unwrap_or_default();
        let worked = self.facts.account.worked.of(step).saturating_sub(worked) / 1000;
        (self.usage_of(step).since(&used), worked)
    }

    /// What the gates of the run said, oldest first; the newest are remembered.
    pub fn verdicts(&self) -> impl Iterator<Item = &VerdictNote> {
        self.facts.account.verdicts.iter()
    }

    /// Whether what a gate said last comes of a new judgement of all gates of its step, in the same round: something asked
    /// for that since its work ended. A gate that a signal wakes asks alone.
    #[must_use]
    pub fn is_rechecked(&self, step: &StepId, gate: &str) -> bool {
        let of_step: Vec<&VerdictNote> = self.verdicts().filter(|note| note.step == *step).collect();
        let Some(last) = of_step.iter().rposition(|note| note.gate == gate) else { return false };
        let is_former = |note: &&VerdictNote| note.gate == gate && note.round == of_step[last].round;
        let Some(former) = of_step[..last].iter().rposition(is_former) else { return false };
        last - former > 1
    }

    /// How often a gate has refused the round for the reason that it gave last; 0: it does not refuse it.
    #[must_use]
    pub fn refusals(&self, step: &StepId, gate: &str) -> usize {
        let of_gate: Vec<&VerdictNote> =
            self.verdicts().filter(|note| note.step == *step && note.gate == gate).collect();
        let Some(last) = of_gate.last().filter(|note| note.verdict == Verdict::Fail) else { return 0 };
        let is_same = |note: &&&VerdictNote| {
            (note.verdict, note.round, &note.reason) == (Verdict::Fail, last.round, &last.reason)
        };
        of_gate.iter().filter(is_same).count()
    }

    /// How often a route was taken for each cause.
    #[must_use]
    pub fn causes_of(&self, route: &str) -> BTreeMap<String, u32> {
        self.facts.account.causes.get(route).cloned().unwrap_or_default()
    }

    /// How often each signal came; names that the pipeline listens to are always among them.
    #[must_use]
    pub fn signal_counts(&self) -> BTreeMap<&str, u32> {
        let listened = self.graph.signal_names().map(|name| (name, 0));
        let counted = self.facts.account.signals.iter().map(|(name, count)| (name.as_str(), *count));
        listened.chain(counted).collect()
    }

    /// Since when a step or an item is blocked.
    #[must_use]
    pub fn blocked_since(&self, path: &StepPath) -> Option<Timestamp> {
        self.facts.account.blocked.get(path).copied()
    }

    /// Since when people are asked, or a signal is awaited, there.
    #[must_use]
    pub fn waits_since(&self, path: &StepPath) -> Option<Timestamp> {
        let key: Key = self.key(path)?;
        let unit = self.unit_at(key)?;
        let asked = unit.question().map(|question| question.asked_at);
        asked.or(unit.approval().map(|approval| approval.asked_at)).or(unit.since)
    }

    /// What went wrong though the run went on: failures that were tolerated and codes that work gave its success, in the
    /// order of the file, and what of a failed run's output could not be rendered.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (step, facts) in self.steps() {
            if let (Phase::Failed { tolerated: true }, Some(failure)) = (&facts.phase, &facts.failure) {
                let (step, failure) = (Some(step.id.clone()), failure.clone());
                warnings.push(Warning { step, gate: None, failure });
            }
            if let (Phase::Succeeded, Some(code)) = (&facts.phase, &facts.unit.code) {
                let message = facts.unit.note.clone().unwrap_or_else(|| code.clone());
                let failure =
                    Failure { code: Some(code.clone()), ..Failure::new(FailureKind::Error, message) };
                warnings.push(Warning { step: Some(step.id.clone()), gate: None, failure });
            }
            for verdict in facts.gates.iter().filter(|verdict| verdict.tolerated) {
                let gate = step.gates.iter().find(|gate| gate.id == verdict.gate);
                let mut failure = Failure::new(FailureKind::Gate, verdict.reason.clone());
                failure.code = gate.and_then(|gate| gate.code.clone());
                warnings.push(Warning {
                    step: Some(step.id.clone()),
                    gate: Some(verdict.gate.clone()),
                    failure,
                });
            }
        }
        let unrendered = self.facts.account.problems.iter().map(|problem| Warning {
            step: None,
            gate: None,
            failure: Failure::new(
                FailureKind::Validation,
                format!("`output` could not be rendered: {problem}"),
            ),
        });
        warnings.extend(unrendered);
        warnings
    }
}

//! What a run tells of itself beside how it stands: what each step used up, what its gates said, why routes were
//! taken, how often a signal came, since when a step is blocked.
//!
//! Law: nothing is decided by it; it follows from the recorded events alone. Every list is bounded, the newest stay.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::worked::Worked;
use crate::event::UsageRecorded;
use crate::policy::Verdict;
use everfold_base::id::{Round, StepId, StepPath};
use everfold_base::time::Timestamp;

/// Verdicts that are remembered of a run.
const VERDICTS_MAX: usize = 200;
/// The longest reason of one.
const REASON_CHARS_MAX: usize = 300;
/// Names of signals that are counted though nothing listens to them.
const SIGNALS_MAX: usize = 200;
/// Causes that are told apart at one route; further ones count as [`OTHER`].
const CAUSES_MAX: usize = 16;
/// The cause of what comes after those.
const OTHER: &str = "other";

/// What a run tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// What each step used up, in all its rounds and attempts.
    pub(super) usage: BTreeMap<StepId, StepUsage>,
    /// What the gates said, oldest first.
    pub(super) verdicts: VecDeque<VerdictNote>,
    /// Why each rework route was taken.
    pub(super) causes: BTreeMap<String, BTreeMap<String, u32>>,
    /// How often each signal came.
    pub(super) signals: BTreeMap<String, u32>,
    /// Since when a step or an item is blocked.
    pub(super) blocked: BTreeMap<StepPath, Timestamp>,
    /// What of the output of the failed run could not be rendered.
    pub(super) problems: Vec<String>,
    /// How long work took, and people were asked.
    pub(super) worked: Worked,
    /// What a step had used up, and how long it had worked, when its newest round began.
    pub(super) before: BTreeMap<StepId, (StepUsage, u64)>,
}

/// What a step used up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUsage {
    /// The newest model.
    pub model: Option<String>,
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Those of them that came from a cache.
    pub cached_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar.
    pub cost_micros: u64,
}

impl StepUsage {
    /// Without what was used up before, with the newest model.
    pub(super) fn since(self, before: &Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_sub(before.input_tokens),
            cached_tokens: self.cached_tokens.saturating_sub(before.cached_tokens),
            output_tokens: self.output_tokens.saturating_sub(before.output_tokens),
            cost_micros: self.cost_micros.saturating_sub(before.cost_micros),
            ..self
        }
    }

    fn add(&mut self, report: &UsageRecorded) {
        let used = &report.usage;
        let read = used.input_tokens.saturating_add(used.cached_tokens);
        self.input_tokens = self.input_tokens.saturating_add(read);
        self.cached_tokens = self.cached_tokens.saturating_add(used.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(used.output_tokens);
        self.cost_micros = report.added_to(self.cost_micros);
        self.model = used.model.clone().or(self.model.take());
    }

    /// Both together, with the model of neither.
    pub(super) fn plus(self, other: &Self) -> Self {
        Self {
            model: None,
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost_micros: self.cost_micros.saturating_add(other.cost_micros),
        }
    }
}

/// What a gate said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictNote {
    /// The step.
    pub step: StepId,
    /// Its gate.
    pub gate: String,
    /// The round that was judged.
    pub round: Round,
    /// What it says.
    pub verdict: Verdict,
    /// Why, in short.
    pub reason: String,
    /// The gate's own code.
    pub code: Option<String>,
    /// It failed, and the run goes on.
    pub tolerated: bool,
    /// When.
    pub at: Timestamp,
}

impl Account {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A round of a step begins.
    pub(super) fn begin_round(&mut self, step: &StepId) {
        let used = self.usage.get(step).cloned().unwrap_or_default();
        let worked = self.worked.of(step);
        if used != StepUsage::default() || worked > 0 {
            self.before.insert(step.clone(), (used, worked));
        }
    }

    pub(super) fn use_up(&mut self, report: &UsageRecorded) {
        self.usage.entry(report.id.path.step.clone()).or_default().add(report);
    }

    /// Notes a verdict. What is pending stands until the gate says more: a gate that asks often takes one place.
    pub(super) fn judge(&mut self, note: VerdictNote) {
        let is_open = |known: &VerdictNote| {
            known.verdict == Verdict::Pending
                && (&known.step, &known.gate, known.round) == (&note.step, &note.gate, note.round)
        };
        if let Some(at) = self.verdicts.iter().rposition(is_open) {
            self.verdicts.remove(at);
        } else if self.verdicts.len() == VERDICTS_MAX {
            self.verdicts.pop_front();
        }
        let reason = note.reason.chars().take(REASON_CHARS_MAX).collect();
        self.verdicts.push_back(VerdictNote { reason, ..note });
    }

    pub(super) fn rework(&mut self, route: &str, cause: String) {
        let causes = self.causes.entry(route.to_owned()).or_default();
        let is_apart = causes.len() < CAUSES_MAX || causes.contains_key(&cause);
        let cause = if is_apart { cause } else { OTHER.to_owned() };
        *causes.entry(cause).or_default() += 1;
    }

    /// Counts a signal; one that nothing listens to only while there are few such names.
    pub(super) fn hear(&mut self, name: &str, is_known: bool) {
        if let Some(count) = self.signals.get_mut(name) {
            *count = count.saturating_add(1);
        } else if is_known || self.signals.len() < SIGNALS_MAX {
            self.signals.insert(name.to_owned(), 1);
        }
    }

    /// The history goes on as another run's: what was used up stays with the origin, and steps that begin anew have
    /// said nothing yet.
    pub(super) fn go_on(&mut self, reset: &[StepId], keeps_routes: bool) {
        self.usage.clear();
        self.worked = Worked::default();
        self.before.clear();
        self.problems.clear();
        self.verdicts.retain(|note| !reset.contains(&note.step));
        if !keeps_routes {
            self.causes.clear();
        }
    }
}

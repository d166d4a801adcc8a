//! A run as `GET /runs/{run}` tells it: the parts that pages show.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What is known of a run.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RunFacts {
    pub(crate) id: String,
    pub(crate) short_id: String,
    pub(crate) pipeline: String,
    pub(crate) title: Option<String>,
    pub(crate) status: String,
    pub(crate) version: u64,
    pub(crate) started_by: String,
    /// Who is behind the start, where that is another.
    #[serde(default)]
    pub(crate) initiator: Option<String>,
    pub(crate) started_at: String,
    pub(crate) ended_at: Option<String>,
    #[serde(default)]
    pub(crate) number: Option<u64>,
    #[serde(default)]
    pub(crate) input: Value,
    #[serde(default)]
    pub(crate) output: Value,
    #[serde(default)]
    pub(crate) failure: Option<FailureFacts>,
    #[serde(default)]
    pub(crate) workspace: Option<WorkspaceFacts>,
    #[serde(default)]
    pub(crate) usage: UsageFacts,
    #[serde(default)]
    pub(crate) steps: Vec<StepFacts>,
    #[serde(default)]
    pub(crate) awaits: Vec<AwaitedFacts>,
    #[serde(default)]
    pub(crate) awaited_runs: Vec<String>,
    #[serde(default)]
    pub(crate) paused: Vec<PauseFacts>,
    #[serde(default)]
    pub(crate) cancelled: Option<CancelFacts>,
    #[serde(default)]
    pub(crate) warnings: Vec<WarningFacts>,
    #[serde(default)]
    pub(crate) routes: Vec<RouteFacts>,
    #[serde(default)]
    pub(crate) signals: BTreeMap<String, u32>,
    #[serde(default)]
    pub(crate) breakpoints: Vec<String>,
    /// The steps that begin next, while it stands still.
    #[serde(default)]
    pub(crate) next_steps: Vec<String>,
    /// Whether an engine goes on with it.
    #[serde(default)]
    pub(crate) driven: bool,
    /// Nothing of it is recorded until there is room.
    #[serde(default)]
    pub(crate) disk_full: bool,
    #[serde(default)]
    pub(crate) notices_given_up: Vec<NoticeFacts>,
    #[serde(default)]
    pub(crate) parent: Option<ParentFacts>,
    #[serde(default)]
    pub(crate) origin: Option<OriginFacts>,
    /// What of a fork's work is not done.
    #[serde(default)]
    pub(crate) effects: Option<RunEffects>,
    #[serde(default)]
    pub(crate) in_line: Vec<WaitingFacts>,
    #[serde(default)]
    pub(crate) in_line_total: usize,
    #[serde(default)]
    pub(crate) budget: Vec<BudgetFacts>,
}

impl RunFacts {
    /// Whether nothing of it goes on any more.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.status.as_str(), "succeeded" | "failed" | "cancelled")
    }

    /// A step by its name; that of an item by the name of its step.
    pub(crate) fn step(&self, id: &str) -> Option<&StepFacts> {
        let step = id.split('.').next().unwrap_or(id);
        self.steps.iter().find(|it| it.id == step)
    }

    /// The signals that came, with how often.
    pub(crate) fn signals_that_came(&self) -> Vec<(&str, u32)> {
        let all = self.signals.iter().map(|(name, count)| (name.as_str(), *count));
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// The signals that its pipeline listens to, and that never came.
    pub(crate) fn signals_that_did_not_come(&self) -> Vec<&str> {
        self.signals.iter().filter(|(_, count)| **count == 0).map(|(name, _)| name.as_str()).collect()
    }

    /// Its number, where its pipeline counts, and its title or pipeline.
    pub(crate) fn name(&self) -> &str {
        self.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or(&self.pipeline)
    }
}

/// How a run or a step failed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FailureFacts {
    pub(crate) kind: String,
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: String,
    pub(crate) step: Option<String>,
    pub(crate) round: Option<u32>,
    pub(crate) attempt: Option<u32>,
}

impl FailureFacts {
    /// The run that its hint names: `look at the child: everfold show 3c90cd65`.
    pub(crate) fn child(&self) -> Option<&str> {
        let (_, rest) = self.hint.split_once("everfold show ")?;
        let run = rest.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap_or_default();
        (run.len() == 8).then_some(run)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WorkspaceFacts {
    pub(crate) repository: String,
    pub(crate) path: String,
    pub(crate) base: String,
    pub(crate) branch: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UsageFacts {
    pub(crate) model: Option<String>,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) cost_usd: Option<String>,
}

impl UsageFacts {
    /// All tokens.
    pub(crate) fn tokens(&self) -> u64 {
        self.input_tokens + self.output_tokens
    }

    /// Whether something was used up.
    pub(crate) fn is_some(&self) -> bool {
        self.tokens() > 0
            || self.cost_usd.as_deref().and_then(|cost| cost.parse::<f64>().ok()).is_some_and(|it| it > 0.0)
    }

    /// The cost; empty: unknown.
    pub(crate) fn cost(&self) -> &str {
        self.cost_usd.as_deref().unwrap_or_default()
    }
}

/// A step of a run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StepFacts {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) standby: bool,
    pub(crate) round: u32,
    pub(crate) attempt: u32,
    pub(crate) started_at: Option<String>,
    pub(crate) ended_at: Option<String>,
    pub(crate) retry_at: Option<String>,
    pub(crate) items: Option<ItemsFacts>,
    pub(crate) gates: Vec<GateFacts>,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) failure: Option<FailureFacts>,
    pub(crate) tolerated: bool,
    pub(crate) line: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) child: Option<String>,
    pub(crate) usage: Option<UsageFacts>,
    pub(crate) phase: Option<String>,
    pub(crate) progress: Option<ProgressFacts>,
}

impl StepFacts {
    /// Whether people do it.
    pub(crate) fn is_human(&self) -> bool {
        matches!(self.kind.as_str(), "approval" | "question")
    }

    /// Whether a signal stopped its process, or the supervisor of that.
    pub(crate) fn is_suspended(&self) -> bool {
        self.phase.as_deref() == Some("suspended")
    }

    /// Whether its attempts leave logs.
    pub(crate) fn has_log(&self) -> bool {
        matches!(self.kind.as_str(), "command" | "agent") && self.round > 0
    }

    /// The status as readers see it: a failure that the run goes on after is shown as such.
    pub(crate) fn word(&self) -> &str {
        if self.status == "failed" && self.tolerated { "failed, tolerated" } else { &self.status }
    }

    /// `2.1`: round and attempt; empty before the first.
    pub(crate) fn instance(&self) -> String {
        match (self.round, self.attempt) {
            (0, _) => String::new(),
            (round, 0) => round.to_string(),
            (round, attempt) => format!("{round}.{attempt}"),
        }
    }
}

/// The items of a `foreach`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ItemsFacts {
    pub(crate) total: u64,
    pub(crate) scheduled: u64,
    pub(crate) ended: u64,
    pub(crate) failed: u64,
    pub(crate) blocked: u64,
    pub(crate) asking: u64,
}

impl ItemsFacts {
    /// How many succeeded.
    pub(crate) fn succeeded(&self) -> u64 {
        self.ended.saturating_sub(self.failed)
    }

    /// How many go on.
    pub(crate) fn active(&self) -> u64 {
        self.scheduled.saturating_sub(self.ended + self.blocked + self.asking)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct GateFacts {
    pub(crate) gate: String,
    pub(crate) verdict: String,
    pub(crate) reason: String,
    pub(crate) probe_no: u32,
    pub(crate) tolerated: bool,
    pub(crate) code: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ProgressFacts {
    pub(crate) done: u64,
    pub(crate) of: u64,
    pub(crate) note: Option<String>,
}

/// What a run waits for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AwaitedFacts {
    /// `approval`, `question`, `unblock`, `timer`, `signal`, `resume`, `budget`, `slot`.
    pub(crate) kind: String,
    pub(crate) task: String,
    pub(crate) step: String,
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) roles: Vec<String>,
    pub(crate) quorum: u32,
    pub(crate) votes: BTreeMap<String, String>,
    pub(crate) name: String,
    pub(crate) at: Option<String>,
    pub(crate) limit: bool,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) expires_at: Option<String>,
    pub(crate) reminded: u32,
    pub(crate) budget: String,
    pub(crate) key: String,
    pub(crate) holders: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PauseFacts {
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
    pub(crate) since: String,
    pub(crate) shared: bool,
    pub(crate) pipeline: Option<String>,
    pub(crate) interrupted: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CancelFacts {
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
    pub(crate) at: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WarningFacts {
    pub(crate) step: Option<String>,
    pub(crate) gate: Option<String>,
    pub(crate) message: String,
}

/// A rework route.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RouteFacts {
    /// `None`: it is the pipeline's own.
    pub(crate) step: Option<String>,
    pub(crate) to: String,
    pub(crate) used: u32,
    pub(crate) max: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NoticeFacts {
    pub(crate) id: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ParentFacts {
    pub(crate) run: String,
    pub(crate) short_id: String,
    pub(crate) step: String,
    pub(crate) top: String,
}

impl ParentFacts {
    /// The topmost run of the family.
    pub(crate) fn top(&self) -> &str {
        if self.top.is_empty() { &self.run } else { &self.top }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OriginFacts {
    pub(crate) run: String,
    pub(crate) version: u64,
    pub(crate) how: String,
}

/// What stands in line.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WaitingFacts {
    /// `{path: {step, item}, round, attempt}`.
    pub(crate) attempt: Value,
    pub(crate) gate: Option<String>,
    pub(crate) since: String,
    pub(crate) reasons: Vec<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BudgetFacts {
    pub(crate) id: String,
    pub(crate) scope: Option<String>,
    pub(crate) over: Option<String>,
    pub(crate) summary: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_run_that_failed() {
        let child = |hint: &str| {
            let failure = FailureFacts { hint: hint.to_owned(), ..FailureFacts::default() };
            failure.child().map(str::to_owned)
        };
        assert_eq!(child("look at the child: everfold show 3c90cd65").as_deref(), Some("3c90cd65"));
        assert_eq!(child("read the attempt's log"), None);
        assert_eq!(child("everfold show "), None);
    }
}

/// What of a fork's work was not done.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct RunEffects {
    pub(crate) held: bool,
    pub(crate) held_back: Vec<HeldFacts>,
    pub(crate) held_back_total: usize,
    pub(crate) replayed_total: usize,
}

/// An attempt that was held back.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct HeldFacts {
    pub(crate) id: String,
    pub(crate) would: String,
}

impl HeldFacts {
    /// The step, or the item of it.
    pub(crate) fn step(&self) -> &str {
        self.id.split('/').next().unwrap_or_default()
    }
}

//! The run that an action is about, and the numbers that its page says.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::definition::Definition;
use crate::frame::Visit;
use crate::problem::Problem;

/// A run as an action sees it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ActingRun {
    pub(super) id: String,
    pub(super) short_id: String,
    pub(super) pipeline: String,
    pub(super) title: Option<String>,
    pub(super) status: String,
    pub(super) version: u64,
    pub(super) ended_at: Option<String>,
    /// The owner of the data folder drives it at this moment.
    pub(super) driven: bool,
    pub(super) input: Value,
    pub(super) steps: Vec<StepNow>,
    pub(super) awaits: Vec<AwaitNow>,
    pub(super) awaited_runs: Vec<String>,
    pub(super) paused: Vec<PauseNow>,
    pub(super) cancelled: Option<Value>,
    pub(super) breakpoints: Vec<String>,
    pub(super) next_steps: Vec<String>,
    pub(super) signals: Map<String, Value>,
    pub(super) budget: Vec<BudgetNow>,
    pub(super) workspace: Option<Value>,
    pub(super) commit: Option<String>,
    /// Why it cannot be shown.
    #[serde(skip)]
    pub(super) is_set_aside: Option<String>,
    #[serde(skip)]
    pub(super) definition: Definition,
}

/// A step as it stands.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct StepNow {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) phase: Option<String>,
    pub(super) round: u32,
    pub(super) attempt: u32,
    pub(super) items: Option<ItemsNow>,
    pub(super) gates: Vec<GateNow>,
    pub(super) failure: Option<FailureNow>,
    pub(super) tolerated: bool,
    pub(super) usage: Option<UsageNow>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemsNow {
    pub(super) total: usize,
    pub(super) scheduled: usize,
    pub(super) ended: usize,
    pub(super) blocked: usize,
    pub(super) asking: usize,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct GateNow {
    pub(super) gate: String,
    pub(super) verdict: String,
    pub(super) reason: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct FailureNow {
    pub(super) message: String,
    #[serde(deserialize_with = "text_or_null")]
    pub(super) hint: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct UsageNow {
    pub(super) cost_usd: String,
}

/// What the run waits for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AwaitNow {
    pub(super) kind: String,
    pub(super) step: String,
    pub(super) message: String,
    pub(super) name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct PauseNow {
    pub(super) by: String,
    pub(super) reason: Option<String>,
    pub(super) shared: bool,
    pub(super) pipeline: Option<String>,
    pub(super) interrupted: Vec<String>,
}

/// A budget of the run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BudgetNow {
    pub(super) id: String,
    pub(super) scope: Option<String>,
    pub(super) limit: AmountsNow,
    pub(super) spent: AmountsNow,
    pub(super) over: Option<String>,
    pub(super) is_reserved: bool,
    pub(super) summary: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AmountsNow {
    pub(super) cost_usd: Option<String>,
    pub(super) tokens: Option<u64>,
    pub(super) wall_ms: Option<u64>,
}

/// A text, null being none.
fn text_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_default())
}

impl ActingRun {
    /// Reads a run by any of its names, as it is now, and the definition that it is pinned to.
    pub(super) async fn load(visit: &Visit, run: &str) -> Result<Self, Problem> {
        let place = crate::words::encoded(run);
        let (run, definition) = (format!("/runs/{place}"), format!("/runs/{place}/definition"));
        let (read, definition): (Self, Definition) =
            futures::future::try_join(visit.rest.get(&run), visit.rest.get(&definition)).await?;
        Ok(Self { definition, ..read })
    }

    /// A run that cannot be shown.
    pub(super) fn unknown(run: &str, problem: &Problem) -> Self {
        Self {
            id: run.to_owned(),
            short_id: run.to_owned(),
            status: "set aside".to_owned(),
            is_set_aside: Some(problem.detail.clone()),
            ..Self::default()
        }
    }

    /// Its title in quotes, or its pipeline's name where it has none.
    pub(super) fn quoted(&self) -> String {
        match &self.title {
            Some(title) => format!("“{title}”"),
            None if self.pipeline.is_empty() => self.short_id.clone(),
            None => format!("{} {}", self.pipeline, self.short_id),
        }
    }

    /// The address of its page.
    pub(super) fn path(&self) -> String {
        format!("/runs/{}", self.short_id)
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    /// Why nothing can be done with a run that has ended.
    pub(super) fn ended_refusal(&self) -> Option<String> {
        self.is_ended().then(|| {
            format!(
                "The run has ended ({}), and an ended run never changes. Restart it, or fork it.",
                self.status
            )
        })
    }

    pub(super) fn step(&self, id: &str) -> Option<&StepNow> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// The steps of which something executes, with how many attempts.
    pub(super) fn executing(&self) -> Vec<(&str, usize)> {
        let of_steps = self.steps.iter().filter(|step| step.kind != "run");
        of_steps
            .map(|step| (step.id.as_str(), step.executing()))
            .filter(|(_, attempts)| *attempts > 0)
            .collect()
    }

    /// How many steps have not begun, without those that run however it ends.
    pub(super) fn pending(&self) -> usize {
        let finishing = self.definition.finishing();
        let pending = self.steps.iter().filter(|step| step.status == "pending");
        pending.filter(|step| !finishing.contains(&step.id.as_str())).count()
    }

    /// How many runs that it started go on.
    pub(super) fn live_children(&self) -> usize {
        let of_steps = self.steps.iter().filter(|step| step.kind == "run").map(StepNow::executing).sum();
        self.awaited_runs.len().max(of_steps)
    }

    /// The steps that wait for something of a kind: `approval`, `question`, `unblock`, `timer`, `signal`, `slot`.
    pub(super) fn awaiting(&self, kind: &str) -> Vec<&str> {
        self.awaits.iter().filter(|it| it.kind == kind).map(|it| it.step.as_str()).collect()
    }

    /// What the steps used up, in US dollars; none: nothing.
    pub(super) fn cost_of(&self, steps: &[&str]) -> Option<String> {
        let of_steps = self.steps.iter().filter(|step| steps.contains(&step.id.as_str()));
        let costs = of_steps.filter_map(|step| step.usage.as_ref()?.cost_usd.parse::<f64>().ok());
        let sum: f64 = costs.sum();
        (sum > 0.0).then(|| crate::words::usd(&format!("{sum:.6}")))
    }
}

impl StepNow {
    /// How many attempts of it execute.
    fn executing(&self) -> usize {
        match &self.items {
            Some(items) => {
                let is_live = matches!(self.status.as_str(), "running" | "stopping" | "waiting" | "queued");
                let at_rest = items.ended + items.blocked + items.asking;
                if is_live { items.scheduled.saturating_sub(at_rest) } else { 0 }
            }
            None => usize::from(self.phase.is_some() || (self.kind == "run" && self.status == "running")),
        }
    }

    /// It has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.round > 0 && !matches!(self.status.as_str(), "pending" | "skipped")
    }
}

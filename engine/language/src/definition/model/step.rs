//! A node of the pipeline, and how often its work is tried.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::gate::Gate;
use super::outputs::Outputs;
use super::reminders::Reminders;
use super::route::Routes;
use super::setting::{Setting, Span};
use super::work::{ExecutorTask, Work};
use super::workspace::StepWorkspace;
use crate::expr::{Expr, Template};
use crate::words::OnLost;
use everfold_base::failure::FailureKind;
use everfold_base::id::StepId;
use everfold_base::json::Value;

/// A node of the pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// The board's column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What must be satisfied before; explicit, also where the file left it to the step above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StepId>,
    /// How the needs must end for the step to begin.
    #[serde(default, skip_serializing_if = "Join::is_done")]
    pub join: Join,
    /// Evaluated once per round, when the needs are satisfied; false skips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// Its output where the round ends without one: skipped, tolerated, passed over.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "else")]
    pub otherwise: Option<Template>,
    /// Started by a rework only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standby: bool,
    /// Rounds in all that ran; refuses automatic reworks only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rounds: Option<Setting<u32>>,
    /// The step with which a person's `retry` of the blocked step begins; `None`: what was refused or failed is done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_from: Option<StepId>,
    /// The limit of one attempt; `None` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Setting<Span>>,
    /// The limit of one round with everything in it, pauses left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Setting<Span>>,
    /// When people are reminded while it is blocked; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind: Option<Reminders<Span>>,
    /// From SIGTERM to SIGKILL.
    #[serde(default = "grace_default", skip_serializing_if = "is_grace_default")]
    pub grace: Setting<Span>,
    /// How often an attempt is repeated inside a round.
    #[serde(default, skip_serializing_if = "Retry::is_none")]
    pub retry: Retry,
    /// Whether repeating the work does no harm; `None` for the kind's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// What follows when an attempt vanished; `None`: `retry` where idempotent, else `block`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_lost: Option<OnLost>,
    /// Whether the work acts on what lies outside of the run, which a fork may not; `None` for the kind's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<bool>,
    /// What follows work and gates that passed.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_success: Routes,
    /// What follows work that failed for good, and gates and rejections without an own route;
    /// empty: fail.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_fail: Routes,
    /// What follows a signal while the step is active, by the signal's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub on_signal: BTreeMap<String, Routes>,
    /// Judged in order after the work succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Artefacts to keep, and how the output is read.
    #[serde(default, skip_serializing_if = "Outputs::is_empty")]
    pub outputs: Outputs,
    /// Added to the run when the step succeeds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Template>,
    /// For the process.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Template>,
    /// Secrets of the pipeline that the process gets as variables, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The role in whose name it acts, which chooses among the sources of a secret; `None`: that of its agent.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "as")]
    pub acts_as: Option<Template>,
    /// What its process may do with the engine; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<StepApi>,
    /// Slots of the engine that an attempt holds while it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Higher goes first where attempts wait for a slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Setting<i32>>,
    /// Whether its work starts whatever the budgets say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_exempt: Option<Condition>,
    /// Questions that the work itself may ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
    /// Where the work runs.
    #[serde(default, skip_serializing_if = "StepWorkspace::is_run")]
    pub workspace: StepWorkspace,
    /// Approvals without which nothing of it starts: what they showed must stand as it was approved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved: Vec<StepId>,
    /// Resets the worktree before a retry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clean: bool,
    /// One attempt per item of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreach: Option<Foreach>,
    /// What it does; `None` for a step with gates only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
}

impl Step {
    /// What a step does that has gates only.
    pub(crate) const GATES: &'static str = "gates";

    /// What it does, in a word: the name of its executor, `approval`, `question`, `wait`, or `gates` where it has no work.
    #[must_use]
    pub fn kind(&self) -> &str {
        match &self.work {
            Some(Work::Task(task)) => &task.kind,
            Some(Work::Approval(_)) => Work::APPROVAL,
            Some(Work::Question(_)) => Work::QUESTION,
            Some(Work::Wait(_)) => Work::WAIT,
            None => Self::GATES,
        }
    }

    /// Whether a gate of it compares with what it changed since its gates last passed.
    #[must_use]
    pub fn compares_with_passed(&self) -> bool {
        self.gates.iter().any(Gate::compares_with_passed)
    }

    /// Whether something of the run's workspace is measured for it, beside its work and gates.
    pub(crate) fn looks_at_workspace(&self) -> bool {
        let is_there = matches!(self.workspace, StepWorkspace::Run | StepWorkspace::Own);
        let shows = matches!(&self.work, Some(Work::Approval(approval)) if approval.may_show_bytes());
        is_there && (shows || !self.approved.is_empty())
    }

    /// Whether a process or an agent of it works in the worktree of its run, where the pipeline has one.
    pub(crate) fn changes_worktree(&self) -> bool {
        let is_process = |kind: &str| matches!(kind, ExecutorTask::COMMAND | ExecutorTask::AGENT);
        self.workspace == StepWorkspace::Run
            && matches!(&self.work, Some(Work::Task(task)) if is_process(&task.kind))
    }

    /// Whether several items of it may be in progress at the same time.
    pub(crate) fn has_items_at_once(&self) -> bool {
        self.foreach.as_ref().is_some_and(Foreach::is_at_once)
    }

    /// Whether it works in the workspace of its run, where the pipeline has one: its first round makes it.
    pub(crate) fn is_in_workspace(&self) -> bool {
        let is_own = self.workspace == StepWorkspace::Own;
        matches!(self.workspace, StepWorkspace::Run | StepWorkspace::Own)
            && (matches!(&self.work, Some(Work::Task(task)) if is_own || task.is_in_folder())
                || !self.gates.is_empty())
    }
}

/// What the process of a step may do with the engine that runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepApi {
    /// The role that its calls have.
    pub role: StepRole,
}

/// The roles that a step's process can be given: none that could give itself more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepRole {
    /// Reads everything.
    Viewer,
    /// Reads, and decides tasks of other runs.
    Approver,
    /// Reads, starts and steers runs.
    Operator,
}

fn grace_default() -> Setting<Span> {
    Setting::Fixed(Span(Duration::from_secs(10)))
}

fn is_grace_default(grace: &Setting<Span>) -> bool {
    *grace == grace_default()
}

/// How the needs of a step must end for it to begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// Every one is satisfied: it succeeded, was skipped, or failed and is tolerated.
    #[default]
    Done,
    /// One succeeded; where none did, the step is skipped.
    Any,
    /// Every one succeeded; where one ended otherwise, the step is skipped when all have ended.
    Succeeded,
}

impl Join {
    fn is_done(&self) -> bool {
        *self == Self::Done
    }
}

/// The most attempts of one round.
pub const ATTEMPTS_MAX: u32 = 100;
/// So many attempts of one round may vanish before a person is asked, whatever `on_lost` says.
pub const LOST_MAX: u32 = 5;

/// How often an attempt is repeated inside a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts: Setting<u32>,
    /// The first pause; it doubles up to `backoff_max`, with jitter from the input's entropy.
    pub backoff_min: Span,
    /// The longest pause.
    pub backoff_max: Span,
    /// Failures to retry, by kind or by code; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Failures that are not retried, by kind or by code, also where `only` names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// So many attempts that vanished are repeated in one round where `on_lost` says so; `None`: [`LOST_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u32>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: Setting::Fixed(1),
            backoff_min: Span(Duration::from_secs(1)),
            backoff_max: Span(Duration::from_secs(60)),
            only: Vec::new(),
            except: Vec::new(),
            lost: None,
        }
    }
}

impl Retry {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a failure of this kind and code is tried again.
    #[must_use]
    pub fn covers(&self, kind: FailureKind, code: Option<&str>) -> bool {
        let is_named =
            |names: &[String]| names.iter().any(|name| name == kind.as_str() || Some(name.as_str()) == code);
        (self.only.is_empty() || is_named(&self.only)) && !is_named(&self.except)
    }
}

/// One attempt per item of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreach {
    /// Gives the list; evaluated once per round.
    pub items: Template,
    /// The item's name in expressions, besides `item`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "as")]
    pub name: Option<String>,
    /// Items in progress at once; `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<Setting<u32>>,
    /// After one failed no further item starts; running ones end.
    #[serde(default = "fails_fast", skip_serializing_if = "is_failing_fast")]
    pub fail_fast: bool,
}

impl Foreach {
    /// Whether several items may be in progress at the same time.
    pub(crate) fn is_at_once(&self) -> bool {
        let is_one = matches!(self.items.source(), Value::Array(items) if items.len() < 2);
        !is_one && !matches!(self.max_in_flight, Some(Setting::Fixed(1)))
    }
}

fn fails_fast() -> bool {
    true
}

fn is_failing_fast(fail_fast: &bool) -> bool {
    *fail_fast
}

/// True, false, or found out when it is needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Condition {
    /// As written.
    Fixed(bool),
    /// An expression.
    Computed(Expr),
}

/// Questions that the work of a step may ask people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// How many in one round.
    #[serde(default = "asks_default")]
    pub max: Setting<u32>,
    /// Who may answer; empty: anyone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// How long an answer is waited for; `None`: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Setting<Span>>,
    /// What follows when none came in time; empty: the step's `on_fail`.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_timeout: Routes,
    /// When people are reminded; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind: Option<Reminders<Setting<Span>>>,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            max: asks_default(),
            roles: Vec::new(),
            timeout: None,
            on_timeout: Routes::default(),
            remind: None,
        }
    }
}

fn asks_default() -> Setting<u32> {
    Setting::Fixed(10)
}

//! What events of steps are made of. Frozen with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use everfold_base::id::{AttemptId, RunId, StepId, StepPath};
use everfold_base::json::Payload;
use everfold_language::words::UnblockDecision;

/// What a round of a step begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduledWork {
    /// An executor's work.
    Task(ScheduledTask),
    /// Items; they follow in `ItemsExpanded`.
    Items,
    /// People; the task follows in `ApprovalRequested`.
    Approval,
    /// A timer; it follows in `TimerSet`.
    Wait,
    /// No work: only gates.
    Gates,
    /// People; the task follows in `QuestionAsked`.
    Question,
    /// Nothing: the item is done, and a retry of its step keeps it. Its end follows.
    Kept(KeptWork),
}

/// The attempt that did an item which a retry keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptWork {
    /// The run in which it was done.
    pub run: RunId,
    /// The attempt.
    pub id: AttemptId,
}

/// An executor's work, rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledTask {
    /// The executor.
    pub kind: String,
    /// `{spec, env, outputs}`.
    pub task: Payload,
    /// The limit of one attempt in milliseconds.
    pub timeout_ms: Option<u64>,
    /// From SIGTERM to SIGKILL in milliseconds.
    pub grace_ms: u64,
}

/// Why a step did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its `when` was false.
    When,
    /// It is a standby step, and no rework named it.
    Standby,
    /// A `finish` route ended the run before.
    Bypassed,
    /// A person skipped it.
    Person,
    /// Its needs did not succeed: of `{any: …}` none, of `{succeeded: …}` not all.
    Join,
}

/// Why a step is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockReason {
    /// An attempt vanished, and it is not known what it did. `retry`: the next attempt.
    Lost,
    /// The work failed, and its route says block. `retry`: the next attempt.
    Failed,
    /// A gate failed, and its route says block. `retry`: the step's next round.
    Gate {
        /// The gate.
        gate: String,
    },
    /// A rework was asked for more often than it may be. `retry`: that rework, once more.
    UsedUp {
        /// The step that would be reworked.
        target: StepId,
        /// The gate that asked, if it was one.
        gate: Option<String>,
    },
    /// A gate's evidence did not come in time, or cannot be had. `retry`: its probe, anew.
    NoEvidence {
        /// The gate.
        gate: String,
    },
    /// A person rejected, and the route says block. `retry`: the step's next round.
    Rejected,
    /// A rework with `hold` named it. `retry`: that round begins.
    Held,
    /// A gate failed on the evidence of its last failure, and its route says block. `retry`: that
    /// rework, once more.
    Unchanged {
        /// The step that would be reworked.
        target: StepId,
        /// The gate.
        gate: String,
    },
    /// The work asked more often than it may. `retry`: the next attempt.
    Asked,
    /// The route of a signal says block. `retry`: the step's next round.
    Signal {
        /// The signal's name.
        name: String,
    },
    /// A gate cannot be judged: its policy or another expression of it failed. `retry`: its probe, anew.
    Broken {
        /// The gate.
        gate: String,
    },
}

impl BlockReason {
    /// The gate that it is about, if it is one.
    #[must_use]
    pub fn gate(&self) -> Option<&String> {
        match self {
            Self::Gate { gate }
            | Self::NoEvidence { gate }
            | Self::Broken { gate }
            | Self::Unchanged { gate, .. } => Some(gate),
            Self::UsedUp { gate, .. } => gate.as_ref(),
            Self::Lost | Self::Failed | Self::Rejected | Self::Held | Self::Asked | Self::Signal { .. } => {
                None
            }
        }
    }
}

/// What led to a rework.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReworkSource {
    /// The attempt whose result it was.
    pub id: AttemptId,
    /// The gate that failed, if it was one.
    pub gate: Option<String>,
    /// The person behind it, if it was one.
    pub by: Option<String>,
}

/// What a person decided on a blocked step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unblocked {
    /// The step, or an item of it.
    pub path: StepPath,
    /// What to do.
    pub decision: UnblockDecision,
    /// The output that `proceed` gives the step.
    pub output: Option<Payload>,
    /// Why.
    pub reason: Option<String>,
    /// What `recheck` judges by instead: policies by gate.
    pub policies: BTreeMap<String, String>,
}

//! What several events are made of. Frozen with them.

use serde::{Deserialize, Serialize};

use crate::definition::Vote;
use crate::id::{AttemptId, StepId, StepPath};
use crate::json::Payload;

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

/// Why an attempt was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// A rework reset its step.
    Rework,
    /// The run was cancelled.
    Cancel,
    /// The run failed or was finished elsewhere.
    RunEnded,
    /// Its time limit passed.
    Timeout,
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

/// Who may answer an approval, and what decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalTerms {
    /// Who may vote; empty: anyone.
    pub roles: Vec<String>,
    /// Approvals needed.
    pub quorum: u32,
    /// One rejection decides.
    pub veto: bool,
    /// Whether the one who started the run may vote.
    pub self_approval: bool,
    /// Decisions that need a comment.
    pub comment: Vec<Vote>,
}

/// One timer of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerId {
    /// What it belongs to.
    pub id: AttemptId,
    /// What it is for.
    pub kind: TimerKind,
    /// Which one of its kind: a gate's name, else empty.
    pub name: String,
}

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerKind {
    /// The pause before a retry.
    Retry,
    /// A `wait` step.
    Wait,
    /// The pause between two probes of a gate.
    Poll,
    /// The time limit of work inside the engine's process.
    Timeout,
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
}

/// What to do with a blocked step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnblockDecision {
    /// What was refused, once more: the rework, or the work.
    Retry,
    /// Judge all gates again on the same artefacts.
    Recheck,
    /// Go on as if it had succeeded: an override.
    Proceed,
    /// Go on without it.
    Skip,
    /// Let it fail.
    Fail,
}

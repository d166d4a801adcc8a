//! Words that pipelines and the facts of runs share: what a person votes, how a run finishes, what follows when
//! work is lost or a slot is taken.
//!
//! Law: a leaf. These enums are part of stored facts: variants keep their names and their order, new ones are added
//! at the end. [`definition`](crate::definition) exports them as its own.

use serde::{Deserialize, Serialize};

/// When a key is free again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// When its run ended.
    #[default]
    Ended,
    /// When its run failed or was cancelled; a success keeps it.
    Unsuccessful,
}

/// What a start does that finds its key taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTaken {
    /// It answers with the holder.
    #[default]
    Return,
    /// It is refused.
    Reject,
    /// It cancels the holder and begins after that has ended.
    Replace,
}

/// What a start does that finds no slot free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// It waits: by priority, then in order.
    #[default]
    Queue,
    /// It is refused.
    Reject,
    /// It cancels the oldest holder and begins after that has ended.
    CancelOldest,
}

/// Over which time a budget counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// All of it.
    #[default]
    Total,
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
}

/// What follows when a budget is used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOver {
    /// Running work ends; nothing more starts until there is room.
    #[default]
    Pause,
    /// The run fails.
    Fail,
    /// Running work is stopped as well.
    Stop,
}

/// What follows when an attempt vanished without a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// The next attempt.
    Retry,
    /// A person decides.
    Block,
    /// The failure `lost`.
    Fail,
}

impl OnLost {
    /// What follows, by what a step says of it; where it says nothing, by what its kind of work says (`own`).
    #[must_use]
    pub fn of_step(on_lost: Option<Self>, idempotent: Option<bool>, own: Self) -> Self {
        on_lost.unwrap_or(match (idempotent, own) {
            (Some(true), _) => Self::Retry,
            (Some(false), Self::Retry) => Self::Block,
            (Some(false) | None, own) => own,
        })
    }
}

/// What happens to uncommitted changes after each attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Save {
    /// Nothing.
    #[default]
    None,
    /// They are committed.
    Commit,
    /// They are committed and pushed.
    Push,
}

impl Save {
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// What a person says to an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// Yes.
    Approve,
    /// No: failure `rejected`.
    Reject,
    /// Do it again, with my comments.
    Changes,
}

/// How a `finish` route ends the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishStatus {
    /// As a success.
    Succeeded,
    /// As a failure.
    Failed,
    /// As cancelled.
    Cancelled,
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

/// The names of the kinds of events of a run, which notices listen to; the core's module `event` asserts when it is
/// compiled that it has these and no others.
pub const EVENT_NAMES: &[&str] = &[
    "RunStarted",
    "StepScheduled",
    "WorkspacePrepared",
    "ItemsExpanded",
    "AttemptStarted",
    "AttemptSucceeded",
    "AttemptFailed",
    "AttemptLost",
    "StopRequested",
    "RetryScheduled",
    "StepSucceeded",
    "StepSkipped",
    "StepFailed",
    "StepBlocked",
    "StepCancelled",
    "ProbeScheduled",
    "GateEvaluated",
    "ProbeFailed",
    "ReworkRequested",
    "ApprovalRequested",
    "VoteCast",
    "ApprovalDecided",
    "TimerSet",
    "TimerFired",
    "UsageRecorded",
    "RunPaused",
    "RunResumed",
    "RunUnblocked",
    "CancelRequested",
    "RunCancelled",
    "RunSucceeded",
    "RunFailed",
    "Advanced",
    "NoteAdded",
    "RunQueued",
    "RunAdmitted",
    "ChildStarted",
    "ChildFinished",
    "QuestionAsked",
    "AnswerSaved",
    "QuestionAnswered",
    "AttemptAsked",
    "SignalReceived",
    "SignalTaken",
    "RecheckRequested",
    "StepCancelRequested",
    "BreakpointsSet",
    "BreakpointHit",
    "BudgetsOpened",
    "BudgetExceeded",
    "BudgetRaised",
    "RunForked",
    "NoticeQueued",
    "NoticeSent",
    "NoticeFailed",
    "ChildStopped",
    "RunHalted",
    "RunReleased",
    "FundsRequested",
    "FundsGranted",
    "BudgetPeriodBegan",
    "FundsAnswered",
    "SpendReported",
    "WorktreeReset",
    "WorkspaceShared",
    "ClockRead",
    "RunAbandoned",
    "WorkspaceRemoved",
    "ProgressReported",
    "SearchSet",
    "WorkSpared",
];

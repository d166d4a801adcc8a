//! What a run and a step are doing, in one word.

use serde::{Deserialize, Serialize};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It waits for a slot.
    Queued,
    /// Something executes.
    Running,
    /// Only people, timers or signals are awaited.
    Waiting,
    /// Nothing new is started.
    Paused,
    /// It cannot go on without a person's decision.
    Blocked,
    /// It ended well.
    Succeeded,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It is cancelled, and something of it still executes: what is being stopped, children, steps of `on_finish`.
    Stopping,
}

impl RunStatus {
    /// The statuses of a run that has not ended.
    pub const UNENDED: [Self; 6] =
        [Self::Queued, Self::Running, Self::Waiting, Self::Paused, Self::Blocked, Self::Stopping];

    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Blocked,
        Self::Stopping,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word used in files, answers and on screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::Stopping => "stopping",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a step is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Its needs are not satisfied.
    Pending,
    /// Its work is to be started.
    Scheduled,
    /// Its work is in progress.
    Running,
    /// Its gates are judged.
    Gating,
    /// People or a timer are awaited.
    Waiting,
    /// It ended well.
    Succeeded,
    /// It failed for good.
    Failed,
    /// It did not apply.
    Skipped,
    /// It was ended with its run.
    Cancelled,
    /// A person must decide.
    Blocked,
}

impl StepStatus {
    /// The word used in files, answers and on screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Gating => "gating",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Blocked => "blocked",
        }
    }
}

impl std::fmt::Display for StepStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

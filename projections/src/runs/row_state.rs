//! The part of a run's row that changes while the run lives.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_base::failure::Failure;
use everfold_base::id::{RunId, StepId};
use everfold_base::time::Timestamp;
use everfold_core::event::SearchValue;
use everfold_core::state::RunStatus;
use serde::{Deserialize, Serialize};

use super::awaited_action::AwaitedAction;
use super::step_counts::StepCounts;

/// How the reason begins of a run that a breakpoint has paused.
pub(super) const AT_BREAKPOINT: &str = "a breakpoint before ";

/// What changes of a run while it lives. It is stored as it stands here: what is asked for most comes first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowState {
    /// What it is doing.
    pub status: RunStatus,
    /// Since when it has been doing that at these steps.
    pub moved_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it used up.
    pub usage: RowUsage,
    /// How many of its steps are how far.
    pub step_counts: StepCounts,
    /// The steps that have begun and not ended.
    pub steps: Vec<StepId>,
    /// How it failed.
    pub failure: Option<RowFailure>,
    /// Why it is paused, where a reason was given; of one that is cancelled, who said so, and why.
    pub paused: Option<String>,
    /// Addresses and filters.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Values with types that it is found by.
    pub search: Arc<BTreeMap<String, SearchValue>>,
    /// The people that it waits for.
    pub awaits: Vec<AwaitedAction>,
    /// How far its work said last that it is.
    pub progress: Option<RowProgress>,
}

/// Every status, in the order of boards.
pub const STATUSES: [RunStatus; 9] = RunStatus::ALL;

/// How far work is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowProgress {
    /// The step, or an item of it.
    pub step: String,
    /// So many parts are done.
    pub done: u64,
    /// Of so many; 0: it is not known.
    pub of: u64,
}

/// What a run used up, counted as its own state counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowUsage {
    /// Tokens read, those from a cache among them.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar.
    pub cost_micros: u64,
}

/// How a run failed: what its last event says, without the detail, which may be long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFailure {
    /// The step that made it fail, or an item of it.
    pub step: Option<String>,
    /// How; without `detail`.
    pub failure: Failure,
}

/// The step of another run that started a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowParent {
    /// Its run.
    pub run: RunId,
    /// The step, or an item of it.
    pub step: String,
    /// The topmost run above it.
    pub top: RunId,
}

impl Default for RowState {
    fn default() -> Self {
        Self {
            status: RunStatus::Running,
            moved_at: Timestamp(0),
            ended_at: None,
            usage: RowUsage::default(),
            step_counts: StepCounts::default(),
            steps: Vec::new(),
            failure: None,
            paused: None,
            labels: Arc::default(),
            search: Arc::default(),
            awaits: Vec::new(),
            progress: None,
        }
    }
}

impl RowState {
    /// How it failed, or why it is paused or was cancelled, in one line.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        let failed = self.failure.as_ref().map(|failed| failed.failure.message.as_str());
        failed.or(self.paused.as_deref())
    }

    /// Whether a breakpoint has paused it, which only a person or a signal lets it pass.
    #[must_use]
    pub fn is_at_breakpoint(&self) -> bool {
        self.status == RunStatus::Paused
            && self.paused.as_deref().is_some_and(|why| why.starts_with(AT_BREAKPOINT))
    }
}

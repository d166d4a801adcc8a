//! What events tell of a task, in the few words that its history keeps.
//!
//! Law: its form is stored; a changed one raises the model's schema number.

use everfold_base::id::{AttemptId, Round, StepId, StepPath, Version};
use everfold_base::time::Timestamp;
use everfold_core::event::TimerId;
use serde::{Deserialize, Serialize};

use super::parts::{StageWaitKind, WorkKind};

/// One thing that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StageFact {
    /// A step, or an item, begins a round.
    Round { id: AttemptId, work: Option<WorkKind>, stage: Option<String> },
    /// Its next attempt begins at a moment.
    Retry { id: AttemptId, at: Timestamp },
    /// Time is to pass before it goes on.
    TimerSet { timer: TimerId, at: Timestamp },
    /// Time has passed.
    TimerFired(TimerId),
    /// An attempt really began.
    Began(AttemptId),
    /// An attempt is over; of one that failed its code or kind, of others the newest remark that it brought.
    Over { id: AttemptId, failed: Option<String>, remark: Option<String> },
    /// A step, or an item, is over; the run ends with it.
    Closed { path: StepPath, passed: bool, ends_run: bool },
    /// People are asked.
    Asked { path: StepPath, kind: StageWaitKind, why: Option<String>, stage: Option<String> },
    /// They are not asked that any more.
    Answered { path: StepPath, kind: StageWaitKind },
    /// They decided on an approval, with these words.
    Decided { path: StepPath, approved: bool, words: Option<String> },
    /// A gate passed or failed.
    Judged { step: StepId, gate: String, round: Round, passed: bool, reason: String },
    /// Steps begin anew.
    Reworked(ReworkFact),
    /// Nothing is asked any more: the run is to end.
    Withdrawn,
    /// The run ended.
    Ended,
    /// The history goes on as this run, with these steps begun anew.
    Forked {
        /// Steps that begin anew.
        reset: Vec<StepId>,
        /// The stage of the first of them.
        stage: Option<String>,
        /// Their rounds are counted on.
        counts_on: bool,
    },
    /// The message that shows how the task stands has a new text.
    Live { notice: String, version: Version },
}

/// Steps begin anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReworkFact {
    /// The step that begins anew.
    pub(super) target: StepId,
    /// The attempt that led to it.
    pub(super) source: StepPath,
    /// The gate that failed, if it was one.
    pub(super) gate: Option<String>,
    /// The person behind it, if it was one.
    pub(super) by: Option<String>,
    /// What it is counted under; `None`: how the work failed.
    pub(super) cause: Option<String>,
    /// What its findings say, in short.
    pub(super) findings: Option<String>,
    /// All that begins anew.
    pub(super) reset: Vec<StepId>,
    /// Those of them whose rounds are limited.
    pub(super) capped: Vec<StepId>,
}

//! How a run began, why it is cancelled, and how it ends.

use serde::{Deserialize, Serialize};

use super::stored_value::StoredValue;
use crate::event::{Origin, Parent};
use everfold_base::actor::Actor;
use everfold_base::failure::Failure;
use everfold_base::id::{RunId, StepPath};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_language::definition::FinishStatus;

/// What began the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) run: RunId,
    pub(crate) pipeline: String,
    pub(crate) definition: Hash,
    pub(crate) title: Option<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) at: Timestamp,
    pub(crate) by: Actor,
    /// The step of another run that started it.
    pub(crate) parent: Option<Parent>,
    /// Higher goes first where runs wait for a slot.
    pub(crate) priority: i32,
    /// The run whose history this one began with.
    pub(crate) forked: Option<Forked>,
}

/// What a run took over from another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forked {
    pub(crate) origin: Origin,
    /// The head of its worktree at that moment.
    pub(crate) commit: Option<String>,
    /// Its branch.
    pub(crate) branch: Option<String>,
}

/// Why a run is being cancelled, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelling {
    /// The actor of the first request.
    pub by: Actor,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// How a run will end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RunOutcome {
    /// A step failed for good.
    Failed { path: Option<StepPath>, failure: Failure },
    /// A person, a parent run or a signal cancelled it.
    Cancelled,
    /// A `finish` route was taken, at this step or on the run's level.
    Finished { status: FinishStatus, path: Option<StepPath> },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunEnd {
    pub(crate) status: FinishStatus,
    pub(crate) at: Timestamp,
    pub(crate) failure: Option<Failure>,
    pub(crate) path: Option<StepPath>,
    pub(crate) output: StoredValue,
}

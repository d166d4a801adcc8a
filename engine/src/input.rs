//! What can happen to a run: the inputs of `decide`.

use std::collections::BTreeMap;

use crate::actor::Actor;
use crate::definition::{OnLost, Vote};
use crate::event::{TimerId, UnblockDecision};
use crate::failure::Failure;
use crate::id::{AttemptId, InputId, RunId, StepPath};
use crate::json::JsonText;
use crate::time::Timestamp;
use crate::trace::{Artefact, Usage, Workspace};

/// Something that happened, with everything `decide` may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Makes a repeated one recognisable.
    pub id: InputId,
    /// When: the clock, or the run's last time if that is later.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub kind: InputKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// A run begins.
    Start(Start),
    /// Work really began.
    AttemptStarted {
        /// The attempt.
        id: AttemptId,
    },
    /// Work ended.
    AttemptFinished {
        /// The attempt.
        id: AttemptId,
        /// Its output, or how it failed.
        result: Result<JsonText, Failure>,
        /// The worktree's head afterwards.
        commit: Option<String>,
        /// Kept files.
        artefacts: Vec<Artefact>,
        /// When the work itself ended.
        ended_at: Timestamp,
    },
    /// Work vanished without a record.
    AttemptLost {
        /// The attempt.
        id: AttemptId,
        /// How that is known.
        reason: String,
        /// What follows where the step does not say.
        fallback: OnLost,
    },
    /// Something was used up.
    Usage {
        /// By whom.
        id: AttemptId,
        /// The number of the report within the attempt, 1-based.
        seq: u32,
        /// What.
        usage: Usage,
    },
    /// The workspace is there, or cannot be had. Each preparation reports under an id of its own.
    WorkspacePrepared(Result<Workspace, Failure>),
    /// Evidence is there.
    ProbeFinished {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of the probe.
        probe_no: u32,
        /// What was found.
        evidence: JsonText,
        /// How long it took.
        took_ms: u64,
    },
    /// Evidence could not be had.
    ProbeFailed {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of the probe.
        probe_no: u32,
        /// What happened.
        message: String,
        /// Asking again cannot help.
        permanent: bool,
        /// How long it took.
        took_ms: u64,
    },
    /// Time has passed.
    TimerFired {
        /// Which timer.
        timer: TimerId,
        /// When it was due: a timer that was set anew is another one.
        due: Timestamp,
    },
    /// Someone votes.
    Vote {
        /// The task.
        id: AttemptId,
        /// What is said.
        vote: Vote,
        /// With which words.
        comment: Option<String>,
        /// The voter's roles.
        roles: Vec<String>,
    },
    /// The run is to end.
    Cancel {
        /// Why.
        reason: Option<String>,
    },
    /// Nothing more is to start.
    Pause {
        /// Why.
        reason: Option<String>,
    },
    /// The pause is over.
    Resume {
        /// Why.
        reason: Option<String>,
    },
    /// A person decides on a blocked step.
    Unblock {
        /// The step or item; `None`: the only blocked one.
        path: Option<StepPath>,
        /// What to do.
        decision: UnblockDecision,
        /// The output that `proceed` gives the step.
        output: Option<JsonText>,
        /// Why.
        reason: Option<String>,
    },
    /// Someone leaves a note.
    Note {
        /// What it says.
        text: String,
    },
    /// What was left undone is gone on with.
    Advance,
}

/// A run begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The run.
    pub run: RunId,
    /// The input, as given.
    pub input: JsonText,
    /// For readers.
    pub title: Option<String>,
    /// Labels beside the pipeline's own.
    pub labels: BTreeMap<String, String>,
    /// Where steps without a workspace work.
    pub cwd: Option<String>,
    /// Drawn by the driver; jitter follows from it.
    pub entropy: u64,
}

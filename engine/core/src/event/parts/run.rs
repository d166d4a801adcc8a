//! What the events of a run as a whole are made of: slots, evidence, and the run that it came from. Frozen with them.

use serde::{Deserialize, Serialize};

use everfold_base::id::{AttemptId, RunId, Version};
use everfold_base::json::{JsonText, Payload};
use everfold_language::definition::{OnLimit, OnTaken, Release};

/// A slot or key that a run needs, rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedSlot {
    /// Which.
    pub key: String,
    /// What kind.
    pub kind: SlotKind,
}

impl WantedSlot {
    /// How many runs may hold one, as this run counts them.
    #[must_use]
    pub fn limit(&self) -> usize {
        match self.kind {
            SlotKind::Identity { .. } => 1,
            SlotKind::Concurrency { limit, .. } => limit as usize,
        }
    }
}

/// The kind of slot that a run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// Its identity.
    Identity {
        /// When it is free again.
        release: Release,
        /// What a start does that finds it taken.
        on_taken: OnTaken,
    },
    /// One of several.
    Concurrency {
        /// How many there are.
        limit: u32,
        /// What a start does that finds none free.
        on_limit: OnLimit,
    },
}

/// Evidence on which a run was admitted, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmissionEvidence {
    /// The gate.
    pub gate: String,
    /// What was found; `None`: nothing could be.
    pub evidence: Option<JsonText>,
    /// Why nothing could be found.
    pub message: Option<String>,
    /// How long the probe took.
    pub took_ms: u64,
}

/// The number of a run: runs of one key are counted together, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunNumber {
    /// What they are counted by.
    pub key: String,
    /// Never given to another start.
    pub number: u64,
}

/// The step of another run that started this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run.
    pub run: RunId,
    /// Its attempt.
    pub id: AttemptId,
}

/// What of the work of a fork is not done as in any other run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectLimits {
    /// Work that acts outside is not done, and notices are not sent.
    pub held: bool,
    /// Work with equal inputs ends as it did in the origin.
    pub replays: bool,
    /// The last version of the origin that stands in for work; the first is the one behind the fork's.
    pub recorded_to: Version,
}

/// The run whose history this one began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The run.
    pub run: RunId,
    /// Its last version that was copied.
    pub version: Version,
    /// What was done with it.
    pub how: OriginKind,
}

/// What was done with a run whose history was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OriginKind {
    /// It is continued from one of its moments, beside it.
    Fork,
    /// What made it fail is tried again.
    Retry,
    /// It begins anew at a step.
    Restart,
    /// The run goes on with what another system recorded: it begins at a step as a restart does, its steps count their
    /// former rounds on, and a breakpoint pauses it once.
    Handover,
}

/// What the pipeline's `output` gives of a run that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedResult {
    /// Its result; null where nothing of it could be rendered.
    pub output: Payload,
    /// The fields that could not be, each with the reason.
    pub problems: Vec<String>,
}

/// The runs that a halt pauses: one pipeline's, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltScope {
    /// Every run of the engine.
    Engine,
    /// Every run of the pipeline of this name.
    Pipeline(String),
}

impl HaltScope {
    /// Whether the runs of this pipeline are paused by it.
    #[must_use]
    pub fn pauses(&self, pipeline: &str) -> bool {
        match self {
            Self::Engine => true,
            Self::Pipeline(paused) => paused == pipeline,
        }
    }
}

impl std::fmt::Display for HaltScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Engine => f.write_str("the whole engine"),
            Self::Pipeline(name) => write!(f, "the pipeline {name}"),
        }
    }
}

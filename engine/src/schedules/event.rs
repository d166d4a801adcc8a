//! The facts of a schedule. Frozen once released, as those of runs are.

use bincode::Options as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::id::{RunId, Version};
use crate::json::JsonText;
use crate::time::Timestamp;
use crate::triggers::Outcome;

/// Where a schedule comes from, and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScheduleOrigin {
    /// A trigger of the newest saved version of a pipeline.
    Trigger {
        /// The pipeline.
        pipeline: String,
        /// Which of its triggers, from 0.
        index: u32,
    },
    /// Somebody added it: it starts a pipeline.
    Added {
        /// The pipeline: NAME, NAME@N, NAME@HASH.
        pipeline: String,
        /// The run's input.
        input: JsonText,
        /// For readers.
        title: Option<String>,
    },
}

/// The schedule is there, or another one than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSet {
    /// Its moments: the document of a `schedule` of the language.
    pub schedule: JsonText,
    /// Where it comes from, and what it does.
    pub origin: ScheduleOrigin,
}

/// The schedule is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRemoved {
    /// Why.
    pub reason: Option<String>,
}

/// No moment counts until it is resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulePaused {
    /// Why.
    pub reason: Option<String>,
}

/// Moments count again, from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleResumed {
    /// Why.
    pub reason: Option<String>,
}

/// A moment has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickDue {
    /// The moment, without its jitter.
    pub at: Timestamp,
    /// Somebody asked for it; it is no moment of the schedule.
    pub by_hand: bool,
}

/// Moments came from which nothing follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicksPassed {
    /// The last of them.
    pub until: Timestamp,
    /// How many, as far as they were counted.
    pub count: u32,
    /// There are older ones that were not counted.
    pub has_older: bool,
    /// Why.
    pub because: PassedBecause,
}

/// Why nothing follows from a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassedBecause {
    /// It passed while nothing ran, and the schedule does not catch up with it.
    Late,
    /// The run of the last one has not ended.
    Overlap,
    /// Too many wait already.
    Full,
}

/// What a moment led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickSettled {
    /// The version of the moment's own event.
    pub tick: Version,
    /// What.
    pub outcome: Outcome,
}

/// These runs are about to be told for a moment. After a crash the same ones are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickMeant {
    /// The version of the moment's own event.
    pub tick: Version,
    /// The runs.
    pub runs: Vec<RunId>,
}

/// A fact of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ScheduleEvent {
    /// It is there.
    ScheduleSet(ScheduleSet),
    /// It is no more.
    ScheduleRemoved(ScheduleRemoved),
    /// It stands still.
    SchedulePaused(SchedulePaused),
    /// It goes on.
    ScheduleResumed(ScheduleResumed),
    /// A moment has come.
    TickDue(TickDue),
    /// Moments were passed over.
    TicksPassed(TicksPassed),
    /// A moment led to something.
    TickSettled(TickSettled),
    /// Runs are about to be told.
    TickMeant(TickMeant),
}

/// Why stored bytes are no event of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleCodecError {
    /// A newer everfold wrote it.
    #[error("kind {0}, schema {1} is of a newer everfold")]
    Unknown(u16, u16),
    /// The bytes are not what was written.
    #[error("{0}")]
    Bytes(String),
}

const SCHEMA: u16 = 1;
const BYTES_MAX: u64 = 2 * 1024 * 1024;

impl ScheduleEvent {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ScheduleSet(_) => "ScheduleSet",
            Self::ScheduleRemoved(_) => "ScheduleRemoved",
            Self::SchedulePaused(_) => "SchedulePaused",
            Self::ScheduleResumed(_) => "ScheduleResumed",
            Self::TickDue(_) => "TickDue",
            Self::TicksPassed(_) => "TicksPassed",
            Self::TickSettled(_) => "TickSettled",
            Self::TickMeant(_) => "TickMeant",
        }
    }

    /// Kind, schema and bytes.
    ///
    /// # Errors
    /// [`ScheduleCodecError::Bytes`]: it is larger than any schedule's event can be.
    pub fn encode(&self) -> Result<(u16, u16, Vec<u8>), ScheduleCodecError> {
        let (kind, bytes) = match self {
            Self::ScheduleSet(event) => (1, options().serialize(event)),
            Self::ScheduleRemoved(event) => (2, options().serialize(event)),
            Self::SchedulePaused(event) => (3, options().serialize(event)),
            Self::ScheduleResumed(event) => (4, options().serialize(event)),
            Self::TickDue(event) => (5, options().serialize(event)),
            Self::TicksPassed(event) => (6, options().serialize(event)),
            Self::TickSettled(event) => (7, options().serialize(event)),
            Self::TickMeant(event) => (8, options().serialize(event)),
        };
        bytes.map(|bytes| (kind, SCHEMA, bytes)).map_err(|error| ScheduleCodecError::Bytes(error.to_string()))
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// [`ScheduleCodecError`]
    pub fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<Self, ScheduleCodecError> {
        fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ScheduleCodecError> {
            options().deserialize(bytes).map_err(|error| ScheduleCodecError::Bytes(error.to_string()))
        }
        match (kind, schema) {
            (1, SCHEMA) => read(bytes).map(Self::ScheduleSet),
            (2, SCHEMA) => read(bytes).map(Self::ScheduleRemoved),
            (3, SCHEMA) => read(bytes).map(Self::SchedulePaused),
            (4, SCHEMA) => read(bytes).map(Self::ScheduleResumed),
            (5, SCHEMA) => read(bytes).map(Self::TickDue),
            (6, SCHEMA) => read(bytes).map(Self::TicksPassed),
            (7, SCHEMA) => read(bytes).map(Self::TickSettled),
            (8, SCHEMA) => read(bytes).map(Self::TickMeant),
            _newer => Err(ScheduleCodecError::Unknown(kind, schema)),
        }
    }
}

fn options() -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(BYTES_MAX).reject_trailing_bytes()
}

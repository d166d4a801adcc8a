//! What events of attempts are made of. Frozen with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use everfold_base::id::{RunId, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_language::definition::FinishStatus;

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
    /// A person cancelled its step.
    Person,
    /// A budget is used up.
    Budget,
    /// A signal interrupted it.
    Signal,
    /// The deadline of its round passed.
    Deadline,
    /// The run that started a child without waiting for it was cancelled; the attempt itself had ended.
    Parent,
    /// A person interrupted the run: the round goes on when it is resumed.
    Interrupt,
}

/// What work said beside its output, and the log that it left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNotes {
    /// Added to the run's labels.
    pub labels: BTreeMap<String, String>,
    /// For readers.
    pub note: Option<String>,
    /// A code of its own for how it ended.
    pub code: Option<String>,
    /// The hash of the report by which a worker ended it: the same report is recognised by it. Absent where no worker
    /// reported, as in former schemas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Hash>,
    /// Its log as it was when it was closed. Last in the bytes, and absent where there is none, as in former schemas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSeal>,
}

impl AttemptNotes {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the work said nothing; it may have left a log.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.labels.is_empty() && self.note.is_none() && self.code.is_none()
    }
}

/// The worker that holds an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptHolder {
    /// The actor.
    pub worker: String,
    /// The process, as it calls itself; null: it does not say.
    pub instance: Option<String>,
    /// The BLAKE3 hash of the lease, which is the worker's secret.
    pub lease: Hash,
}

/// What is recorded of an attempt's log when it is closed: with it, whether a log is the one that was written can be said
/// at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSeal {
    /// The BLAKE3 hash of the file's bytes.
    pub hash: Hash,
    /// Its lines.
    pub lines: u64,
    /// Its bytes.
    pub bytes: u64,
    /// How much output is missing in it: it reached its limit, or the disk was full.
    pub lost_bytes: u64,
}

/// Why work of a fork was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpareReason {
    /// The origin recorded how work with equal inputs ended.
    Recorded {
        /// The run whose history that is.
        run: RunId,
        /// The event there.
        version: Version,
    },
    /// It acts outside, and the fork may not.
    Held {
        /// What it would have done, in one line.
        would: String,
        /// The event of the origin whose output it was given; `None`: there is none, and its output is null.
        version: Option<Version>,
    },
}

/// How a child run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildEnd {
    /// As what.
    pub status: FinishStatus,
    /// When.
    pub at: Timestamp,
}

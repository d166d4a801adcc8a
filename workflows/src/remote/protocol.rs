//! What workers and the engine say to each other: the bodies of the routes `/workers/*`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, EffectId};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_ports::{Usage, WorkerHold};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::name::WorkerName;

/// An attempt as its worker names it: `RUN:STEP[.ITEM]:ROUND:ATTEMPT`, safe in a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptName(pub EffectId);

/// A text that names no attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” names no attempt (RUN:STEP:ROUND:ATTEMPT, as `poll` gave it)")]
pub struct NoAttemptName(String);

impl fmt::Display for AttemptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AttemptId { path, round, attempt } = &self.0.attempt;
        write!(f, "{}:{path}:{round}:{attempt}", self.0.run)
    }
}

impl FromStr for AttemptName {
    type Err = NoAttemptName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NoAttemptName(text.chars().take(200).collect());
        // It becomes part of a path.
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
        let (run, attempt) = text.split_once(':').filter(|_| text.chars().all(is_word)).ok_or_else(bad)?;
        let attempt: AttemptId = attempt.replace(':', "/").parse().map_err(|_| bad())?;
        Ok(Self(EffectId { run: run.parse().map_err(|_| bad())?, attempt }))
    }
}

impl Serialize for AttemptName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AttemptName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A worker asks for work.
#[derive(Debug, Clone)]
pub struct WorkerPoll {
    /// The functions that it does.
    pub functions: Vec<String>,
    /// How many attempts it takes at once.
    pub capacity: usize,
    /// How long it waits where there is none.
    pub wait: Duration,
    /// All that it holds; `None`: it does not say.
    pub holds: Option<BTreeSet<EffectId>>,
}

/// An attempt that a worker is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Which one; part of the routes that speak of it.
    pub id: AttemptName,
    /// Proves that it is this worker's.
    pub lease: String,
    /// Until when, unless a heartbeat comes.
    pub lease_until: Timestamp,
    /// How long the lease lasts after each heartbeat, in seconds.
    pub lease_seconds: f64,
    /// What is to be done.
    pub function: String,
    /// Its parameters.
    pub with: Value,
    /// The run.
    pub run: String,
    /// The step, with the item of a `foreach`.
    pub step: String,
    /// The visit of the step, from 1.
    pub round: u32,
    /// The try within the round, from 1.
    pub attempt: u32,
    /// Equal for every attempt of a round.
    pub idempotency_key: String,
    /// The time limit, counted from now, in seconds.
    pub timeout_seconds: Option<f64>,
    /// The run's context, where the function declares that it reads it; else null.
    #[serde(default, rename = "told")]
    pub context: Value,
}

/// Which worker reports on which attempt, by which lease.
#[derive(Debug, Clone)]
pub struct LeaseClaim {
    /// The attempt.
    pub id: AttemptName,
    /// The lease that it was given with.
    pub lease: String,
    /// The worker.
    pub worker: WorkerName,
}

/// What the run of an attempt says of it.
#[derive(Debug, Clone, Default)]
pub struct AttemptFacts {
    /// The worker that holds it, or held it.
    pub hold: Option<WorkerHold>,
    /// Whether its run still wants it.
    pub is_in_progress: bool,
    /// Whether its run had such an attempt and has gone on behind it; of those of workers, the last thousand are told apart.
    pub is_behind: bool,
}

/// What a worker says while it works.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat {
    /// Lines for the attempt's log.
    pub log: Vec<String>,
    /// How far it is: shown, kept nowhere.
    pub progress: Option<String>,
}

/// The reply to a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// Until when it holds the attempt.
    pub lease_until: Timestamp,
    /// The attempt is to end: what it gives does not count any more.
    pub cancel: bool,
    /// Why.
    pub reason: Option<String>,
}

/// How an attempt ended, as its worker says.
#[derive(Debug, Clone, Serialize)]
pub struct WorkerReport {
    /// What came of it.
    pub result: Reported,
    /// What it used up.
    pub usage: Vec<Usage>,
    /// Last lines for the log.
    pub log: Vec<String>,
}

/// What came of an attempt, as its worker says.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reported {
    /// Its output.
    Output(Value),
    /// It failed.
    Failure(Failure),
}

/// A failure as a worker tells it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportedFailure {
    /// What happened, in one line.
    pub message: String,
    /// What kind of failure; none: `error`.
    #[serde(default)]
    pub kind: ReportedFailureKind,
    /// A code of its own, by which routes and programs distinguish failures; UPPER_CASE.
    #[serde(default)]
    pub code: Option<String>,
    /// What a person can do next.
    #[serde(default)]
    pub hint: Option<String>,
    /// More of what happened.
    #[serde(default)]
    pub detail: Option<String>,
}

/// The kinds of failure that work may tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportedFailureKind {
    /// The work failed; `retry` may try it again.
    #[default]
    Error,
    /// What it was given is not what it takes.
    Validation,
    /// Another run or program holds what it needs.
    Conflict,
}

impl From<ReportedFailure> for Failure {
    fn from(reported: ReportedFailure) -> Self {
        let kind = match reported.kind {
            ReportedFailureKind::Error => FailureKind::Error,
            ReportedFailureKind::Validation => FailureKind::Validation,
            ReportedFailureKind::Conflict => FailureKind::Conflict,
        };
        let ReportedFailure { code, hint, detail, .. } = reported;
        Self { code, hint, detail, ..Self::new(kind, reported.message) }
    }
}

/// Why a worker is not listened to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerRefusal {
    /// It was given to no worker.
    #[error("nobody holds this attempt: it was never given out, or does not exist")]
    Unknown,
    /// Another worker holds it.
    #[error("the attempt is held by {0}")]
    Foreign(WorkerName),
    /// The worker itself holds it, under a lease that it does not name.
    #[error("the attempt is held by {0} with another lease")]
    OtherLease(WorkerName),
    /// It is another process's that uses the same token.
    #[error("the attempt is held by {0}, another process with this token")]
    OtherInstance(WorkerName),
    /// It is over.
    #[error("the attempt is over: {0}")]
    Over(String),
    /// Too many polls wait.
    #[error("10,000 polls wait already")]
    TooMany,
    /// It cannot be kept at this moment; saying it again may help.
    #[error("it could not be kept: {0}")]
    NotKept(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_reads_back_as_named_and_no_name_leads_out_of_a_folder() {
        let run = "0198c1f0-0000-7000-8000-0000deadbeef";
        for name in [format!("{run}:deploy:1:1"), format!("{run}:deploy.7:2:13")] {
            assert_eq!(name.parse::<AttemptName>().unwrap().to_string(), name);
        }
        for name in ["", "x", "x:deploy:1:1", &format!("{run}:deploy:1"), &format!("{run}:a/../../b:1:1")] {
            assert!(name.parse::<AttemptName>().is_err(), "{name}");
        }
    }
}

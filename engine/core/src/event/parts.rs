//! What several events are made of. Frozen with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, RunId, StepId, StepPath, Version};
use everfold_base::json::{JsonText, Payload};
use everfold_base::time::Timestamp;
use everfold_language::definition::{FinishStatus, OnLimit, OnOver, OnTaken, Period, Release, Vote};
use everfold_language::words::UnblockDecision;

/// What a round of a step begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduledWork {
    /// An executor's work.
    Task(ScheduledTask),
    /// Items; they follow in `ItemsExpanded`.
    Items,
    /// People; the task follows in `ApprovalRequested`.
    Approval,
    /// A timer; it follows in `TimerSet`.
    Wait,
    /// No work: only gates.
    Gates,
    /// People; the task follows in `QuestionAsked`.
    Question,
}

/// An executor's work, rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledTask {
    /// The executor.
    pub kind: String,
    /// `{spec, env, outputs}`.
    pub task: Payload,
    /// The limit of one attempt in milliseconds.
    pub timeout_ms: Option<u64>,
    /// From SIGTERM to SIGKILL in milliseconds.
    pub grace_ms: u64,
}

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
}

/// Why a step did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its `when` was false.
    When,
    /// It is a standby step, and no rework named it.
    Standby,
    /// A `finish` route ended the run before.
    Bypassed,
    /// A person skipped it.
    Person,
    /// Of `join: any`, no need succeeded.
    Join,
}

/// Why a step is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockReason {
    /// An attempt vanished, and it is not known what it did. `retry`: the next attempt.
    Lost,
    /// The work failed, and its route says block. `retry`: the next attempt.
    Failed,
    /// A gate failed, and its route says block. `retry`: the step's next round.
    Gate {
        /// The gate.
        gate: String,
    },
    /// A rework was asked for more often than it may be. `retry`: that rework, once more.
    UsedUp {
        /// The step that would be reworked.
        target: StepId,
        /// The gate that asked, if it was one.
        gate: Option<String>,
    },
    /// A gate's evidence did not come in time, or cannot be had. `retry`: its probe, anew.
    NoEvidence {
        /// The gate.
        gate: String,
    },
    /// A person rejected, and the route says block. `retry`: the step's next round.
    Rejected,
    /// A rework with `hold` named it. `retry`: that round begins.
    Held,
    /// A gate failed on the evidence of its last failure, and its route says block. `retry`: that
    /// rework, once more.
    Unchanged {
        /// The step that would be reworked.
        target: StepId,
        /// The gate.
        gate: String,
    },
    /// The work asked more often than it may. `retry`: the next attempt.
    Asked,
    /// The route of a signal says block. `retry`: the step's next round.
    Signal {
        /// The signal's name.
        name: String,
    },
    /// A gate cannot be judged: its policy or another expression of it failed. `retry`: its probe, anew.
    Broken {
        /// The gate.
        gate: String,
    },
}

impl BlockReason {
    /// The gate that it is about, if it is one.
    #[must_use]
    pub fn gate(&self) -> Option<&String> {
        match self {
            Self::Gate { gate }
            | Self::NoEvidence { gate }
            | Self::Broken { gate }
            | Self::Unchanged { gate, .. } => Some(gate),
            Self::UsedUp { gate, .. } => gate.as_ref(),
            Self::Lost | Self::Failed | Self::Rejected | Self::Held | Self::Asked | Self::Signal { .. } => {
                None
            }
        }
    }
}

/// What led to a rework.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReworkSource {
    /// The attempt whose result it was.
    pub id: AttemptId,
    /// The gate that failed, if it was one.
    pub gate: Option<String>,
    /// The person behind it, if it was one.
    pub by: Option<String>,
}

/// Who may answer an approval, and what decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalTerms {
    /// Who may vote; empty: anyone.
    pub roles: Vec<String>,
    /// Approvals needed.
    pub quorum: u32,
    /// One rejection decides.
    pub veto: bool,
    /// Whether the one who started the run may vote.
    pub self_approval: bool,
    /// Decisions that need a comment.
    pub comment: Vec<Vote>,
    /// Changes may be asked for.
    pub changes: bool,
    /// How often people are reminded, in milliseconds.
    pub remind_ms: Option<u64>,
}

/// A remark on a place of what was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// What it is about: a path or name as shown.
    pub on: Option<String>,
    /// BLAKE3 of the text that was shown, where it is a file's: the remark stays with that text.
    pub shown: Option<String>,
    /// The first line meant, 1-based.
    pub line: Option<u32>,
    /// The words meant.
    pub quote: Option<String>,
    /// What is said.
    pub text: String,
}

/// Who asks people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedBy {
    /// A `question` step.
    Step,
    /// The work of a step, in the middle of it.
    Work,
}

/// A question, rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionTerms {
    /// Who asks.
    pub by: AskedBy,
    /// What may be chosen; empty: nothing is.
    pub options: Vec<String>,
    /// Parts that are answered one by one: `[{id, text, options}]`.
    pub items: Option<JsonText>,
    /// Who may answer; empty: anyone.
    pub roles: Vec<String>,
    /// How often people are reminded, in milliseconds.
    pub remind_ms: Option<u64>,
}

/// What work said beside its output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Added to the run's labels.
    pub labels: BTreeMap<String, String>,
    /// For readers.
    pub note: Option<String>,
    /// A code of its own for how it ended.
    pub code: Option<String>,
}

impl Told {
    /// Whether it said nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A slot or key that a run wants, rendered.
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

/// What kind of slot a run wants.
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

/// The step of another run that started this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run.
    pub run: RunId,
    /// Its attempt.
    pub id: AttemptId,
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
    /// A moment of it is gone on with beside it.
    Fork,
    /// What made it fail is tried again.
    Retry,
    /// It begins anew at a step.
    Restart,
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

/// Who took a signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalTaker {
    /// A gate asks at once.
    Gate {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
    },
    /// A `wait` that it ended.
    Wait(AttemptId),
    /// The route of a step.
    Step(AttemptId),
    /// The route of the run.
    Run,
    /// No one.
    Nobody,
}

/// What became of a signal at its taker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hearing {
    /// It was followed at once.
    Now,
    /// It is followed when the work that executes has ended.
    Deferred,
    /// Nothing follows.
    Ignored,
    /// It is kept for a `wait` to come.
    Kept,
}

/// How a signal ends a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalEnd {
    /// The run fails.
    Failed(Failure),
    /// A `finish` route.
    Finished(FinishStatus),
}

/// What stands still where nothing new is started: one pipeline's runs, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltScope {
    /// Every run of the engine.
    Engine,
    /// Every run of the pipeline of this name.
    Pipeline(String),
}

impl std::fmt::Display for HaltScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Engine => f.write_str("the whole engine"),
            Self::Pipeline(name) => write!(f, "the pipeline {name}"),
        }
    }
}

/// How a child run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildEnd {
    /// As what.
    pub status: FinishStatus,
    /// When.
    pub at: everfold_base::time::Timestamp,
}

/// One timer of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerId {
    /// What it belongs to.
    pub id: AttemptId,
    /// What it is for.
    pub kind: TimerKind,
    /// Which one of its kind: a gate's name, else empty.
    pub name: String,
}

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerKind {
    /// The pause before a retry.
    Retry,
    /// A `wait` step.
    Wait,
    /// The pause between two probes of a gate.
    Poll,
    /// The time limit of work inside the engine's process.
    Timeout,
    /// The time limit of a round.
    Deadline,
    /// The time limit of a question to people.
    Expiry,
    /// People are reminded of a question.
    Reminder,
    /// The time limit of waiting for a signal.
    Signal,
    /// A budget's time is over, or its next period begins.
    Budget,
}

/// What a person decided on a blocked step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unblocked {
    /// The step, or an item of it.
    pub path: StepPath,
    /// What to do.
    pub decision: UnblockDecision,
    /// The output that `proceed` gives the step.
    pub output: Option<Payload>,
    /// Why.
    pub reason: Option<String>,
    /// What `recheck` judges by instead: policies by gate.
    pub policies: BTreeMap<String, String>,
}

/// Money, tokens and time: what was spent, or by how much a limit is raised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// In millionths of a US dollar.
    pub cost_micros: u64,
    /// Read and written.
    pub tokens: u64,
    /// In milliseconds.
    pub wall_ms: u64,
}

impl Spent {
    /// Both together; what would not fit into the number is its largest value.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cost_micros: self.cost_micros.saturating_add(other.cost_micros),
            tokens: self.tokens.saturating_add(other.tokens),
            wall_ms: self.wall_ms.saturating_add(other.wall_ms),
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// A budget, rendered when its run starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetTerms {
    /// Its name in the pipeline.
    pub id: String,
    /// Whose use is counted together; `None`: this run's.
    pub scope: Option<String>,
    /// Over which time.
    pub per: Period,
    /// Where days begin; `None`: UTC.
    pub zone: Option<String>,
    /// The limit in millionths of a US dollar.
    pub cost_micros: Option<u64>,
    /// The limit of tokens.
    pub tokens: Option<u64>,
    /// The limit of time in milliseconds.
    pub wall_ms: Option<u64>,
    /// Kept free for each piece of paid work that starts.
    pub reserve_micros: u64,
    /// What follows when it is used up.
    pub on_over: OnOver,
}

/// What of a budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Its money.
    Cost,
    /// Its tokens.
    Tokens,
    /// Its time.
    Wall,
}

/// A budget has no room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRefusal {
    /// Which.
    pub budget: String,
    /// What of it is used up.
    pub measure: Measure,
}

/// How full a budget is at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReading {
    /// The budget's name in the pipeline.
    pub budget: String,
    /// What was spent.
    pub spent: Spent,
    /// What is kept free for work that runs, in millionths of a US dollar.
    pub reserved_micros: u64,
    /// By how much its limits were raised.
    pub raised: Spent,
    /// When its period ends; `None`: never.
    pub until: Option<Timestamp>,
}

//! A cause: what it is about, in a sentence, since when, shown by which event, and its own causes.

use everfold_base::id::{Position, RunId, StepPath, Version};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Why something is where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseNode {
    /// What kind of cause.
    pub kind: CauseKind,
    /// What it is about.
    pub subject: CauseSubject,
    /// The cause in a sentence, without capital and full stop.
    pub sentence: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When it ends by itself, or is looked at again.
    pub until: Option<Timestamp>,
    /// The event that shows it; `None`: no event does, or it lies too far back.
    pub evidence: Option<Evidence>,
    /// The values that were looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<LookedAt>,
    /// Why that is so.
    #[serde(default)]
    pub because: Vec<CauseNode>,
}

/// What a cause is about, as far as it is about that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseSubject {
    /// Another run: the holder of a slot, a child.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// A step, or an item of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The round of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<u32>,
    /// The attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// A name: of a gate, a slot, a signal, a budget, a function, a resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl CauseSubject {
    /// A step, or an item of one.
    #[must_use]
    pub fn step(path: &StepPath) -> Self {
        Self { step: Some(path.to_string()), ..Self::default() }
    }

    /// Something that has a name.
    #[must_use]
    pub fn name(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// Another run.
    #[must_use]
    pub fn run(run: RunId) -> Self {
        Self { run: Some(run), ..Self::default() }
    }

    /// The same with a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// The event that shows a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The run whose event it is; `None`: the run that was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Its place in the run.
    pub version: Version,
    /// Its place in the log.
    pub position: Position,
    /// Its name.
    pub event: String,
    /// Who caused it.
    pub actor: String,
}

/// A value that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookedAt {
    /// As expressions call it: `input.deploy`.
    pub name: String,
    /// The value; long texts are cut.
    pub value: Value,
}

impl CauseNode {
    /// A cause that nothing more is known of.
    #[must_use]
    pub fn new(kind: CauseKind, subject: CauseSubject, sentence: impl Into<String>) -> Self {
        Self {
            kind,
            subject,
            sentence: sentence.into(),
            since: None,
            until: None,
            evidence: None,
            values: Vec::new(),
            because: Vec::new(),
        }
    }

    /// The same since a time.
    #[must_use]
    pub fn since(mut self, since: impl Into<Option<Timestamp>>) -> Self {
        self.since = since.into().or(self.since);
        self
    }

    /// The same until a time.
    #[must_use]
    pub fn until(mut self, until: impl Into<Option<Timestamp>>) -> Self {
        self.until = until.into().or(self.until);
        self
    }

    /// The same because of that.
    #[must_use]
    pub fn because(mut self, causes: impl IntoIterator<Item = Self>) -> Self {
        self.because.extend(causes);
        self
    }

    /// It and all causes below it.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + self.because.iter().map(Self::count).sum::<usize>()
    }
}

/// What kind of cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// The run has ended.
    Ended,
    /// It was, or is being, cancelled.
    Cancelled,
    /// It is paused: alone, at a breakpoint, with its pipeline or with the engine.
    Paused,
    /// It waits for a slot or key. The caller adds who holds it.
    Slot,
    /// Votes are awaited.
    Approval,
    /// An answer is awaited.
    Question,
    /// A person decides how it goes on.
    Blocked,
    /// A signal is awaited.
    Signal,
    /// A budget is used up, or is being asked.
    Budget,
    /// A moment is awaited.
    Timer,
    /// Work goes on.
    Work,
    /// Work is to begin. The caller adds what it waits for in line.
    Start,
    /// A run that was started is awaited. The caller adds why that waits.
    Child,
    /// A gate is being asked.
    Probe,
    /// What a gate said.
    Verdict,
    /// The next attempt waits.
    Retry,
    /// An attempt failed or vanished.
    Attempt,
    /// A step was sent back.
    Rework,
    /// Other steps must end first.
    Need,
    /// A condition was false.
    Condition,
    /// It was passed over.
    Skipped,
    /// It begins only when a route names it.
    Standby,
    /// It ended well.
    Succeeded,
    /// It failed.
    Failed,
    /// Work is being ended.
    Stop,
    /// The workspace is being made.
    Workspace,
    /// The engine decides what follows.
    Engine,
    /// No place is free.
    Place,
    /// A resource is in use.
    Resource,
    /// A rate of starts is used up.
    Rate,
    /// A breaker is open.
    Breaker,
    /// No worker offers the function.
    Worker,
    /// What an agent needs is missing: its login, its program, the network.
    Preflight,
    /// No engine drives the run.
    Owner,
    /// The run was set aside: its engine could not go on with it.
    SetAside,
    /// The disk is full.
    Disk,
    /// More of the same, or causes beyond the bound.
    More,
}

impl CauseKind {
    /// All of them.
    pub const ALL: [Self; 37] = [
        Self::Ended,
        Self::Cancelled,
        Self::Paused,
        Self::Slot,
        Self::Approval,
        Self::Question,
        Self::Blocked,
        Self::Signal,
        Self::Budget,
        Self::Timer,
        Self::Work,
        Self::Start,
        Self::Child,
        Self::Probe,
        Self::Verdict,
        Self::Retry,
        Self::Attempt,
        Self::Rework,
        Self::Need,
        Self::Condition,
        Self::Skipped,
        Self::Standby,
        Self::Succeeded,
        Self::Failed,
        Self::Stop,
        Self::Workspace,
        Self::Engine,
        Self::Place,
        Self::Resource,
        Self::Rate,
        Self::Breaker,
        Self::Worker,
        Self::Preflight,
        Self::Owner,
        Self::SetAside,
        Self::Disk,
        Self::More,
    ];
}

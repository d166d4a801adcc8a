//! What is drawn of a day: what agents do, what CI finds and what people decide, for each task.
//!
//! Law: data only. Nothing here knows the pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How an attempt of an agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Well,
    /// With an exit code.
    Fails(i32),
    /// The service asks for a pause.
    Limited,
    /// Its process vanishes.
    Lost,
    /// It works for longer than it may.
    TooLong,
}

/// An attempt of an agent.
#[derive(Debug, Clone, Copy)]
pub struct Try {
    pub takes: Duration,
    pub ends: Ending,
}

/// What the gates find behind a round of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    Good,
    /// The analyst leaves questions in place of the documents.
    Questions,
    /// The analyst leaves neither.
    Nothing,
    /// The architect finds a conflict.
    Conflict,
    /// The architect leaves no decision.
    NoDecision,
    /// CI is red.
    Red,
    /// CI is green after so many polls that find it pending.
    Pending(u32),
    /// CI does not settle until it tells so itself.
    Unsettled,
    /// CI is green after so many polls without an answer.
    Unanswered(u32),
    /// The reviewer wants changes.
    Changes,
    /// The reviewer approves with a finding that is open.
    OpenP1,
    /// Tests, staging or the deployment failed.
    Failed,
}

/// A round of an agent.
#[derive(Debug, Clone)]
pub struct AgentRound {
    pub tries: Vec<Try>,
    pub finding: Finding,
    pub usage: Spent,
}

impl AgentRound {
    /// Whether it ends so that a person has to begin it again.
    pub fn has_failed(&self) -> bool {
        self.tries.last().is_some_and(|last| last.ends != Ending::Well)
    }
}

/// What a round of an agent costs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    pub input: u64,
    pub cached: u64,
    pub output: u64,
    pub micros: u64,
}

impl Spent {
    pub fn add(&mut self, other: Self) {
        self.input += other.input;
        self.cached += other.cached;
        self.output += other.output;
        self.micros += other.micros;
    }
}

/// What a person or a service does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    Approve,
    /// With a comment before it, or without one.
    Reject(Option<String>),
    /// Sets In Progress.
    Continue,
    /// Merges the pull request by hand.
    Merge,
    /// CI tells that it is green.
    CiTells,
}

/// A deed that follows a state in the tracker: the state as the pipeline calls it, and for the how manieth time.
#[derive(Debug, Clone)]
pub struct Act {
    pub awaits: (&'static str, usize),
    pub after: Duration,
    pub does: Deed,
}

/// What becomes of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Done,
    /// It is not begun: its title or its text is too short.
    Refused,
    /// A person has to decide about this step.
    Waits(&'static str),
}

/// A comment in the tracker: who speaks, and the text. `{item}`, `{branch}`, `{tree}`, `{pr1}`, `{run}` and `{T}` stand for
/// what is only known then; `{T}` is a span of time.
pub type Comment = (&'static str, String);

/// All that is drawn of a task, and what must be seen of it.
#[derive(Debug)]
pub struct Task {
    pub project: usize,
    pub sequence: u64,
    pub title: String,
    pub text: &'static str,
    pub begins: Duration,
    pub rounds: BTreeMap<(&'static str, u32), AgentRound>,
    /// Rounds of `pr` in which no request can be opened.
    pub closed: BTreeSet<u32>,
    /// Rounds of steps `why-…` in which the comments cannot be read.
    pub unread: BTreeSet<(&'static str, u32)>,
    /// Plane does not answer the first times that the issue is to be judged.
    pub is_hidden: bool,
    pub acts: Vec<Act>,
    pub comments: Vec<Comment>,
    pub pings: Vec<String>,
    pub fate: Fate,
    /// The live message at the end of a task that is done.
    pub live: String,
}

/// The projects: repository and prefix.
pub const PROJECTS: [(&str, &str); 3] = [("shop", "ET"), ("map", "MAP"), ("orchestrator", "ORCH")];
/// What stands for the pull requests of a task, in their order.
pub const PULL_REQUESTS: [&str; 4] = ["{pr1}", "{pr2}", "{pr3}", "{pr4}"];
/// The most developments of a task.
pub const CAP: u32 = 3;

/// Tokens as O157 wants them: to one digit, a half up, and never `1000.0k`.
pub fn tokens(count: u64) -> String {
    let tenths = |unit: u64| (count * 10 + unit / 2) / unit;
    let shown = |unit: u64, sign: char| format!("{}.{}{sign}", tenths(unit) / 10, tenths(unit) % 10);
    match count {
        0..1_000 => count.to_string(),
        1_000..999_950 => shown(1_000, 'k'),
        999_950.. => shown(1_000_000, 'M'),
    }
}

/// As the pipeline shows money: whole cents.
pub fn money(micros: u64) -> String {
    let cents = (micros + 5_000) / 10_000;
    format!("${}.{:02}", cents / 100, cents % 100)
}

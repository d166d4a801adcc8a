//! The parts of where a task stands.

use everfold_base::id::{Attempt, AttemptId, Round, RunId, StepId, StepPath, Version};
use everfold_base::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Who works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// An agent: its attempts are the jobs of the queue.
    Agent,
    /// A command, a function, a request, another run.
    Other,
}

/// An attempt that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageWork {
    /// The step, or an item of it.
    pub path: StepPath,
    /// The round.
    pub round: Round,
    /// The attempt.
    pub attempt: Attempt,
    /// Since when it is to be done.
    pub since: Timestamp,
    /// When it began; `None`: it waits in line.
    pub started_at: Option<Timestamp>,
    /// Who works.
    pub kind: WorkKind,
}

impl StageWork {
    pub(super) fn of(id: &AttemptId, kind: WorkKind, since: Timestamp) -> Self {
        let AttemptId { path, round, attempt } = id.clone();
        Self { path, round, attempt, since, started_at: None, kind }
    }

    pub(super) fn is(&self, id: &AttemptId) -> bool {
        self.path == id.path && self.round == id.round && self.attempt == id.attempt
    }
}

/// What people are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageWaitKind {
    /// A decision on an approval.
    Approval,
    /// An answer.
    Question,
    /// A decision on a blocked step.
    Unblock,
    /// Room in a budget.
    Budget,
}

/// Something that people are waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageWait {
    /// The step, or an item of it.
    pub path: StepPath,
    /// What for.
    pub kind: StageWaitKind,
    /// Since when.
    pub since: Timestamp,
    /// Why, where the step is blocked.
    pub why: Option<String>,
}

/// What waits for a moment, and then goes on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StagePauseKind {
    /// The next attempt.
    Retry,
    /// The next question of a gate.
    Poll,
    /// A `wait` step.
    Wait,
}

/// Something that goes on by itself at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagePause {
    /// The step, or an item of it.
    pub path: StepPath,
    /// What goes on.
    pub kind: StagePauseKind,
    /// When.
    pub at: Timestamp,
    /// Of a retry the code or kind of the failure before it, of a poll its gate.
    pub why: Option<String>,
}

/// How long people had an approval in their hands.
///
/// It begins when they are asked first, stands while what they sent back is worked on, and goes on when they are asked again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewClock {
    /// When they were asked first.
    pub started_at: Timestamp,
    /// Since when they are asked; `None`: they are not asked now.
    pub open_since: Option<Timestamp>,
    /// When it was approved first.
    pub ended_at: Option<Timestamp>,
    spent_ms: u64,
}

impl ReviewClock {
    pub(super) fn asked(known: Option<&Self>, at: Timestamp) -> Self {
        let clock = known.copied().unwrap_or(Self { started_at: at, ..Self::default() });
        Self { open_since: clock.open_since.or(Some(at)), ..clock }
    }

    /// People are not asked any more.
    pub(super) fn stop(&mut self, at: Timestamp) {
        if let Some(since) = self.open_since.take() {
            self.spent_ms = self.spent_ms.saturating_add(millis(since, at));
        }
    }

    /// It is approved. Once is enough.
    pub(super) fn end(&mut self, at: Timestamp) {
        self.stop(at);
        self.ended_at.get_or_insert(at);
    }

    /// How long people had it by a moment.
    #[must_use]
    pub fn elapsed_ms(&self, now: Timestamp) -> u64 {
        let open = self.open_since.map_or(0, |since| millis(since, now));
        self.spent_ms.saturating_add(open)
    }
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0)
}

/// The last time that something was sent back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentBack {
    /// When.
    pub at: Timestamp,
    /// The step whose result it was.
    pub step: StepId,
    /// The gate that failed, if it was one.
    pub gate: Option<String>,
    /// The person behind it, if it was one.
    pub by: Option<String>,
    /// What it is counted under.
    pub cause: String,
    /// Why, in short.
    pub reason: Option<String>,
    /// The step that began anew.
    pub to: StepId,
}

/// The notice that shows people how the task stands in one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveMessage {
    /// The notice of the pipeline.
    pub notice: String,
    /// The version of the `NoticeQueued` that holds its newest text.
    pub version: Version,
}

/// An attempt of an agent that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedJob {
    /// Its run.
    pub run: RunId,
    /// The attempt.
    pub id: AttemptId,
    /// How it failed: a code or a kind; `None`: it did not.
    pub failed: Option<String>,
    /// When it was to be done.
    pub since: Timestamp,
    /// When it was over.
    pub ended_at: Timestamp,
}

/// The attempts of agents, in all tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentJobs {
    /// Those that wait in line.
    pub queued: u64,
    /// Those that are at work.
    pub running: u64,
    /// Those that ended well.
    pub done: u64,
    /// Those that failed, or were lost or stopped.
    pub failed: u64,
    /// The last that ended, newest first.
    pub recent: Vec<EndedJob>,
}

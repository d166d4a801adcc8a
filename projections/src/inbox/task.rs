//! A task: one thing that a person is asked to do.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use everfold_base::id::{Attempt, AttemptId, Position, Round, RunId, StepPath};
use everfold_base::json::{Hash, Payload};
use everfold_base::text::one_line;
use everfold_base::time::Timestamp;
use everfold_core::event::{ApprovalTerms, BlockReason, Comment, QuestionTerms, Seen};
use everfold_language::definition::Vote;
use serde::{Deserialize, Serialize};

/// One thing that a person is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Names it; safe in a URL.
    pub id: String,
    /// The run.
    pub run: RunId,
    /// The run's short id.
    pub short_id: String,
    /// The run's pipeline.
    pub pipeline: String,
    /// The run's title.
    pub run_title: Option<String>,
    /// The step, or an item of it.
    pub step: String,
    /// The round.
    pub round: Round,
    /// The attempt.
    pub attempt: Attempt,
    /// What is to be done.
    #[serde(flatten)]
    pub kind: TaskKind,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None`: for ever.
    pub expires_at: Option<Timestamp>,
    /// How often people were reminded.
    pub reminded: u32,
    /// When they are reminded next; `None`: no more.
    #[serde(default)]
    pub remind_at: Option<Timestamp>,
    /// The place of the event that asked; the order of the list.
    pub position: Position,
}

/// What a person is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TaskKind {
    /// Vote.
    Approval {
        /// What is asked.
        title: String,
        /// What is shown.
        show: Payload,
        /// Of kept files that are shown, by path: BLAKE3 of their text. A remark names it, so that it
        /// stays with that text.
        shown: BTreeMap<String, Hash>,
        /// The hashes of all that is shown; null: it was asked before Everfold recorded that.
        #[serde(default)]
        seen: Option<Seen>,
        /// The value that may be replaced, as it stands.
        value: Option<Payload>,
        /// Who may vote, and what decides.
        terms: ApprovalTerms,
        /// The votes so far, newest of each person.
        votes: BTreeMap<String, String>,
        /// What was said with them.
        comments: Vec<Remark>,
    },
    /// Answer.
    Question {
        /// What is asked, in one line.
        title: String,
        /// What is asked, in full.
        text: Option<Payload>,
        /// The asker, the permitted answers, and the roles that may answer.
        terms: QuestionTerms,
        /// The parts of an answer that were saved: `{choice?, text?, items?}`.
        draft: Option<Payload>,
        /// Who saved the newest of them.
        saved_by: Option<String>,
    },
    /// Decide on a blocked step.
    Blocked {
        /// What happened.
        message: String,
        /// Why it is blocked.
        reason: BlockReason,
    },
    /// Raise a budget that holds paid work, or wait for its next period.
    Budget {
        /// The budget's name in the pipeline.
        budget: String,
        /// What of it is used up.
        message: String,
        /// When its next period begins; null: never.
        until: Option<Timestamp>,
    },
}

/// A comment that a person made with a vote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remark {
    /// Who.
    pub by: String,
    /// What, and on which place.
    #[serde(flatten)]
    pub comment: Comment,
}

/// What a task's id names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskName {
    /// A run, as people name it.
    pub run: String,
    /// The attempt that asks.
    pub id: AttemptId,
    /// It names a blocked step.
    pub blocked: bool,
}

/// The text names no task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task is named RUN:STEP:ROUND, or RUN:STEP.ITEM:ROUND.ATTEMPT")]
pub struct TaskNameError;

impl Task {
    /// The id of a task: `SHORT_ID:STEP[.ITEM]:ROUND[.ATTEMPT]`, the attempt from the second on, and
    /// `:blocked` behind it for a blocked step.
    #[must_use]
    pub fn id_of(run: RunId, id: &AttemptId, blocked: bool) -> String {
        let attempt = if id.attempt > Attempt::FIRST { format!(".{}", id.attempt) } else { String::new() };
        let blocked = if blocked { ":blocked" } else { "" };
        format!("{}:{}:{}{attempt}{blocked}", run.short(), id.path, id.round)
    }

    /// The same with titles as lists show them: former versions kept them as they were given.
    #[must_use]
    pub(crate) fn in_one_line(mut self) -> Self {
        let of_kind = match &mut self.kind {
            TaskKind::Approval { title, .. } | TaskKind::Question { title, .. } => Some(title),
            TaskKind::Blocked { .. } | TaskKind::Budget { .. } => None,
        };
        for title in of_kind.into_iter().chain(self.run_title.as_mut()) {
            if let Cow::Owned(line) = one_line(title) {
                *title = line;
            }
        }
        self
    }

    /// Whether a person with that role may do it.
    #[must_use]
    pub fn is_for(&self, role: &str) -> bool {
        let roles = self.roles();
        roles.is_empty() || roles.iter().any(|wanted| wanted == role)
    }

    /// Who may do it; empty: anyone.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        match &self.kind {
            TaskKind::Approval { terms, .. } => &terms.roles,
            TaskKind::Question { terms, .. } => &terms.roles,
            TaskKind::Blocked { .. } | TaskKind::Budget { .. } => &[],
        }
    }
}

impl FromStr for TaskName {
    type Err = TaskNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(':').collect();
        let (run, path, place, blocked) = match parts.as_slice() {
            [run, path, place] => (run, path, place, false),
            [run, path, place, "blocked"] => (run, path, place, true),
            _other => return Err(TaskNameError),
        };
        let (round, attempt) = place.split_once('.').unwrap_or((place, "1"));
        let number = |text: &str| text.parse().map_err(|_| TaskNameError);
        let path: StepPath = path.parse().map_err(|_| TaskNameError)?;
        let id = AttemptId { path, round: Round(number(round)?), attempt: Attempt(number(attempt)?) };
        Ok(Self { run: (*run).to_owned(), id, blocked })
    }
}

/// The word for a vote in answers and stored tasks.
pub(crate) fn vote_word(vote: Vote) -> &'static str {
    match vote {
        Vote::Approve => "approve",
        Vote::Reject => "reject",
        Vote::Changes => "changes",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn row_57_titles_that_a_former_version_kept_are_shown_in_one_line() {
        let task: Task = serde_json::from_value(json!({
            "id": "1f3a2b4c:ok:1", "run": "01a1fa2f-f5d5-78ae-aca8-81563b2cabce", "short_id": "3b2cabce",
            "pipeline": "p", "run_title": "Add\nlogin", "step": "ok", "round": 1, "attempt": 1,
            "kind": "question", "title": "Ship\u{202e} it?\r\n", "text": null,
            "terms": {"by": "step", "options": [], "items": null, "roles": [], "remind_ms": null},
            "draft": null, "saved_by": null,
            "since": "2026-11-20T18:20:09.603Z", "expires_at": null, "reminded": 0, "remind_at": null, "position": 1,
        }))
        .unwrap();
        let shown = task.in_one_line();
        assert_eq!(shown.run_title.as_deref(), Some("Add login"));
        assert!(matches!(shown.kind, TaskKind::Question { title, .. } if title == "Ship it?"));
    }
}

//! The timeline of a run: every attempt with its times.

use std::collections::{HashMap, HashSet};

use everfold_base::envelope::{Envelope, flag};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{Attempt, AttemptId, Round, StepPath, Version};
use everfold_base::time::Timestamp;
use everfold_core::event::{self, LogSeal, RunEvent, ScheduledWork, SpareReason};
use serde::Serialize;

use crate::event_readers::{TIMELINE, passed_over};

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptRow {
    /// The step, or an item of it.
    pub step: String,
    /// The round.
    pub round: Round,
    /// The attempt.
    pub attempt: Attempt,
    /// The executor; empty where a retry does not name it again.
    pub kind: String,
    /// When it was scheduled.
    pub scheduled_at: Timestamp,
    /// When it really began.
    pub started_at: Option<Timestamp>,
    /// Why its work was not done; none: it is, or was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spared: Option<AttemptSpared>,
    /// How it ended.
    pub end: Option<AttemptRowEnd>,
}

/// Why the work of a fork's attempt was not done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptSpared {
    /// `recorded`: the origin recorded the end of work that was given the same; `held`: it acts outside.
    pub why: &'static str,
    /// What it would have done, where it was held back.
    pub would: Option<String>,
    /// The event of the origin that stood in for it.
    pub version: Option<Version>,
}

impl AttemptSpared {
    fn of(reason: &SpareReason) -> Self {
        match reason {
            SpareReason::Recorded { version, .. } => {
                Self { why: "recorded", would: None, version: Some(*version) }
            }
            SpareReason::Held { would, version } => {
                Self { why: "held", would: Some(would.clone()), version: *version }
            }
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptRowEnd {
    /// When.
    pub at: Timestamp,
    /// How it failed; none: well.
    pub failure: Option<AttemptFailure>,
    /// The head of its worktree then, where it had one.
    pub commit: Option<String>,
    /// Its log as it was when it was closed, where it left one.
    pub log: Option<LogSeal>,
}

/// How an attempt failed: what its event says, without the detail.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptFailure {
    /// Which kind.
    pub kind: FailureKind,
    /// An own code below the kind.
    pub code: Option<String>,
    /// What happened, in one line.
    pub message: String,
    /// What to do next.
    pub hint: String,
    /// The exit code, where there is one.
    pub exit_code: Option<i32>,
}

impl AttemptFailure {
    fn of(failure: &Failure) -> Self {
        Self {
            kind: failure.kind,
            code: failure.code.clone(),
            message: failure.message.clone(),
            hint: failure.hint().to_owned(),
            exit_code: failure.exit_code,
        }
    }
}

/// The attempts that a run's events tell of, in the order they were scheduled; a copied history is
/// another run's.
#[must_use]
pub fn attempts(events: &[Envelope]) -> Vec<AttemptRow> {
    let mut rows = Rows::default();
    for envelope in events {
        let header = &envelope.header;
        let Ok(event) = event::decode(header.kind, header.schema, &envelope.payload) else { continue };
        match header.flags & flag::COPIED {
            0 => rows.apply(&event, header.recorded_at),
            _copied => rows.copied(&event),
        }
    }
    rows.came()
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Rows {
    rows: Vec<AttemptRow>,
    open: HashMap<AttemptId, usize>,
    /// Places of rows of attempts that never came.
    never: HashSet<usize>,
    /// The executors of what a fork copied.
    kinds: HashMap<StepPath, String>,
    /// When the run became a fork: what was in progress goes on then, with an attempt that no event schedules.
    forked_at: Option<Timestamp>,
}

impl Rows {
    fn schedule(&mut self, id: &AttemptId, kind: &str, at: Timestamp) {
        self.open.insert(id.clone(), self.rows.len());
        self.rows.push(AttemptRow {
            step: id.path.to_string(),
            round: id.round,
            attempt: id.attempt,
            kind: kind.to_owned(),
            scheduled_at: at,
            started_at: None,
            spared: None,
            end: None,
        });
    }

    /// An event of another run.
    fn copied(&mut self, event: &RunEvent) {
        if let RunEvent::StepScheduled(event) = event
            && let ScheduledWork::Task(task) = &event.work
        {
            self.kinds.insert(event.id.path.clone(), task.kind.clone());
        }
    }

    /// The row of an attempt that goes on.
    fn row(&mut self, id: &AttemptId) -> Option<&mut AttemptRow> {
        if let Some(at) = self.forked_at.filter(|_| !self.open.contains_key(id)) {
            let kind = self.kinds.get(&id.path).cloned().unwrap_or_default();
            self.schedule(id, &kind, at);
        }
        self.open.get(id).and_then(|at| self.rows.get_mut(*at))
    }

    fn end(&mut self, id: &AttemptId, end: AttemptRowEnd) {
        self.row(id);
        if let Some(row) = self.open.remove(id).and_then(|at| self.rows.get_mut(at)) {
            row.end = Some(end);
        }
    }

    /// The rows of attempts that came, or may come yet.
    fn came(self) -> Vec<AttemptRow> {
        let Self { rows, never, .. } = self;
        rows.into_iter().enumerate().filter(|(at, _)| !never.contains(at)).map(|(_, row)| row).collect()
    }

    /// A step, or an item, ended: what was to be tried again later never was.
    fn forget_unbegun(&mut self, path: &StepPath, at: Timestamp) {
        let is_of = |id: &AttemptId| id.path == *path || path.item.is_none() && id.path.step == path.step;
        let rows = &self.rows;
        let is_unbegun = |row: &AttemptRow| row.started_at.is_none() && row.scheduled_at > at;
        let never: Vec<(AttemptId, usize)> = self
            .open
            .iter()
            .filter(|(id, row)| is_of(id) && rows.get(**row).is_some_and(is_unbegun))
            .map(|(id, row)| (id.clone(), *row))
            .collect();
        for (id, row) in never {
            self.open.remove(&id);
            self.never.insert(row);
        }
    }

    fn apply(&mut self, event: &RunEvent, at: Timestamp) {
        match event {
            RunEvent::RunForked(_) => self.forked_at = Some(at),
            RunEvent::StepScheduled(event) => {
                if let ScheduledWork::Task(task) = &event.work {
                    self.schedule(&event.id, &task.kind, at);
                }
            }
            RunEvent::RetryScheduled(event) => {
                let kind = event.task.as_ref().map_or("", |task| task.kind.as_str());
                self.schedule(&event.id, kind, event.at);
            }
            RunEvent::AttemptStarted(event) => {
                if let Some(row) = self.row(&event.id) {
                    // The event comes later than the work, as late as the next engine where one ended meanwhile.
                    row.started_at = Some(event.began_at.unwrap_or(at).clamp(row.scheduled_at.min(at), at));
                }
            }
            RunEvent::WorkSpared(event) => {
                if let Some(row) = self.row(&event.id) {
                    row.spared = Some(AttemptSpared::of(&event.reason));
                }
            }
            RunEvent::AttemptSucceeded(event) => {
                let log = event.notes.log.clone();
                let commit = event.commit.clone();
                let end = AttemptRowEnd { at: event.ended_at, failure: None, commit, log };
                self.end(&event.id, end);
            }
            RunEvent::AttemptFailed(event) => {
                let failure = Some(AttemptFailure::of(&event.failure));
                let log = event.notes.log.clone();
                let commit = event.commit.clone();
                let end = AttemptRowEnd { at: event.ended_at, failure, commit, log };
                self.end(&event.id, end);
            }
            RunEvent::AttemptLost(event) => {
                let lost = Failure::new(FailureKind::Lost, event.reason.clone());
                let failure = Some(AttemptFailure::of(&lost));
                let end = AttemptRowEnd { at, failure, commit: None, log: None };
                self.end(&event.id, end);
            }
            RunEvent::AttemptAsked(event) => {
                let (commit, log) = (event.commit.clone(), event.notes.log.clone());
                self.end(&event.id, AttemptRowEnd { at: event.ended_at, failure: None, commit, log });
            }
            RunEvent::ChildStarted(event) => {
                if let Some(row) = self.row(&event.id) {
                    row.started_at.get_or_insert(at);
                }
            }
            RunEvent::ChildFinished(event) => {
                let failure = event.failure.as_ref().map(AttemptFailure::of);
                let commit = event.commit.clone();
                self.end(&event.id, AttemptRowEnd { at: event.ended_at, failure, commit, log: None });
            }
            RunEvent::ChildStopped(event) => {
                let stopped = Failure::new(FailureKind::Cancelled, "its run was stopped");
                let failure = Some(AttemptFailure::of(&stopped));
                self.end(&event.id, AttemptRowEnd { at: event.ended_at, failure, commit: None, log: None });
            }
            RunEvent::StepFailed(event) => self.forget_unbegun(&event.path, at),
            RunEvent::StepCancelled(event) => self.forget_unbegun(&event.path, at),
            RunEvent::ReworkRequested(event) => {
                event.reset.iter().for_each(|step| self.forget_unbegun(&StepPath::step(step), at));
            }
            other => passed_over(other, TIMELINE),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use everfold_base::id::RunId;
    use everfold_base::json::{JsonText, Payload};
    use everfold_core::event::{
        AttemptAsked, AttemptLost, AttemptStarted, ChildFinished, ChildStarted, ChildStopped, RetryScheduled,
        ScheduledTask, StepCancelled, StepScheduled, WorkSpared,
    };
    use everfold_language::words::OnLost;
    use serde_json::json;

    use super::*;

    /// The begin of an attempt that was scheduled at 100 and whose begin was recorded at 900.
    fn begin(began_at: Option<i64>) -> Option<Timestamp> {
        let id: AttemptId = "build/1/1".parse().unwrap();
        let task = Payload::Inline(JsonText::new(&json!({})));
        let task = ScheduledTask { kind: "command".to_owned(), task, timeout_ms: None, grace_ms: 0 };
        let mut rows = Rows::default();
        let scheduled = StepScheduled { id: id.clone(), work: ScheduledWork::Task(task) };
        rows.apply(&scheduled.into(), Timestamp(100));
        let started = AttemptStarted { id, began_at: began_at.map(Timestamp), holder: None };
        rows.apply(&started.into(), Timestamp(900));
        rows.rows[0].started_at
    }

    #[test]
    fn what_a_fork_goes_on_with_has_a_row_though_no_event_of_it_schedules_it() {
        let id: AttemptId = "build/1/2".parse().unwrap();
        let task = Payload::Inline(JsonText::new(&json!({})));
        let task = ScheduledTask { kind: "command".to_owned(), task, timeout_ms: None, grace_ms: 0 };
        let first = AttemptId { attempt: Attempt(1), ..id.clone() };
        let mut rows = Rows::default();
        rows.copied(&StepScheduled { id: first, work: ScheduledWork::Task(task) }.into());
        rows.forked_at = Some(Timestamp(500));
        let reason = SpareReason::Held { would: "POST /".to_owned(), version: None };
        rows.apply(&WorkSpared { id: id.clone(), reason }.into(), Timestamp(600));
        let lost = AttemptLost { id, reason: "gone".to_owned(), fallback: OnLost::Block };
        rows.apply(&lost.into(), Timestamp(700));
        let [row] = rows.rows.as_slice() else { panic!("{:?}", rows.rows) };
        assert_eq!(
            (row.attempt, row.kind.as_str(), row.scheduled_at),
            (Attempt(2), "command", Timestamp(500))
        );
        assert_eq!(row.spared.as_ref().map(|spared| spared.why), Some("held"));
        assert_eq!(row.end.as_ref().map(|end| end.at), Some(Timestamp(700)));
    }

    /// They stood in the list as if they went on for ever.
    #[test]
    fn an_attempt_that_asked_a_child_and_a_retry_that_never_came_are_over() {
        let id = |id: &str| -> AttemptId { id.parse().unwrap() };
        let task = Payload::Inline(JsonText::new(&json!({})));
        let schedule = |id: AttemptId| -> RunEvent {
            let kind = "run".to_owned();
            let task = ScheduledTask { kind, task: task.clone(), timeout_ms: None, grace_ms: 0 };
            StepScheduled { id, work: ScheduledWork::Task(task) }.into()
        };
        let mut rows = Rows::default();
        for it in ["ask/1/1", "child/1/1", "stopped/1/1"] {
            rows.apply(&schedule(id(it)), Timestamp(100));
        }
        let ask = AttemptAsked {
            id: id("ask/1/1"),
            ask: task.clone(),
            commit: None,
            ended_at: Timestamp(200),
            notes: Default::default(),
        };
        rows.apply(&ask.into(), Timestamp(210));
        let child = RunId(uuid::Uuid::from_u128(7));
        rows.apply(&ChildStarted { id: id("child/1/1"), child }.into(), Timestamp(120));
        let failure = Some(Failure::new(FailureKind::Exit, "exit 1"));
        let (output, ended_at) = (task.clone(), Timestamp(300));
        let finished = ChildFinished { id: id("child/1/1"), child, output, failure, ended_at, commit: None };
        rows.apply(&finished.into(), Timestamp(310));
        let stopped = ChildStopped { id: id("stopped/1/1"), ended_at: Timestamp(400) };
        rows.apply(&stopped.into(), Timestamp(410));
        for (path, again, cancelled) in [("busy", 900, true), ("late", 450, false)] {
            let id = id(&format!("{path}/1/2"));
            let retry = RetryScheduled { id: id.clone(), at: Timestamp(again), task: None };
            rows.apply(&retry.into(), Timestamp(440));
            if cancelled {
                let cancelled = StepCancelled { path: id.path, round: id.round };
                rows.apply(&cancelled.into(), Timestamp(500));
            }
        }
        let shown: Vec<_> = rows
            .came()
            .into_iter()
            .map(|row| (row.step, row.started_at, row.end.map(|end| (end.at, end.failure.map(|it| it.kind)))))
            .collect();
        let end = |at, kind| Some((Timestamp(at), kind));
        assert_eq!(
            shown,
            [
                ("ask".to_owned(), None, end(200, None)),
                ("child".to_owned(), Some(Timestamp(120)), end(300, Some(FailureKind::Exit))),
                ("stopped".to_owned(), None, end(400, Some(FailureKind::Cancelled))),
                ("late".to_owned(), None, None),
            ]
        );
    }

    #[test]
    fn an_attempt_begins_when_its_process_says_so_and_not_when_that_was_recorded() {
        assert_eq!(begin(Some(700)), Some(Timestamp(700)));
        assert_eq!(begin(None), Some(Timestamp(900)));
        for (wrong_clock, wanted) in [(20, 100), (5_000, 900)] {
            assert_eq!(begin(Some(wrong_clock)), Some(Timestamp(wanted)));
        }
    }
}

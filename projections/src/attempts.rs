//! Every attempt of every run, with its times: the bars of a timeline.

use std::collections::HashMap;

use everfold_engine::event::{RunEvent, ScheduledWork};
use everfold_engine::failure::FailureKind;
use everfold_engine::id::{Attempt, AttemptId, Round, RunId};
use everfold_engine::time::Timestamp;
use serde::Serialize;

use crate::{Fact, Projection};

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptRow {
    /// The step, or an item of it.
    pub step: String,
    /// The round.
    pub round: Round,
    /// The attempt.
    pub attempt: Attempt,
    /// The executor; empty where it is not told again.
    pub kind: String,
    /// When it was scheduled.
    pub scheduled_at: Timestamp,
    /// When it really began.
    pub started_at: Option<Timestamp>,
    /// How it ended.
    pub end: Option<AttemptEnd>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptEnd {
    /// When.
    pub at: Timestamp,
    /// With which kind of failure; none: well.
    pub failure: Option<FailureKind>,
    /// What happened, in one line.
    pub message: Option<String>,
    /// The exit code, where there is one.
    pub exit_code: Option<i32>,
}

/// The read model `attempts`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attempts {
    runs: HashMap<RunId, Rows>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Rows {
    rows: Vec<AttemptRow>,
    open: HashMap<AttemptId, usize>,
}

impl Attempts {
    /// The attempts of a run, in the order they were scheduled.
    #[must_use]
    pub fn of(&self, run: RunId) -> &[AttemptRow] {
        self.runs.get(&run).map_or(&[], |rows| rows.rows.as_slice())
    }
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
            end: None,
        });
    }

    fn end(&mut self, id: &AttemptId, end: AttemptEnd) {
        if let Some(row) = self.open.remove(id).and_then(|at| self.rows.get_mut(at)) {
            row.end = Some(end);
        }
    }
}

impl Projection for Attempts {
    const NAME: &'static str = "attempts";
    const SCHEMA: u32 = 1;

    fn apply(&mut self, fact: &Fact<'_>) {
        let at = fact.envelope.header.recorded_at;
        match fact.event {
            RunEvent::StepScheduled(event) => {
                if let ScheduledWork::Task(task) = &event.work {
                    self.runs.entry(fact.run).or_default().schedule(&event.id, &task.kind, at);
                }
            }
            RunEvent::RetryScheduled(event) => {
                let kind = event.task.as_ref().map_or("", |task| task.kind.as_str());
                self.runs.entry(fact.run).or_default().schedule(&event.id, kind, event.at);
            }
            RunEvent::AttemptStarted(event) => {
                let rows = self.runs.entry(fact.run).or_default();
                if let Some(row) = rows.open.get(&event.id).and_then(|at| rows.rows.get_mut(*at)) {
                    row.started_at = Some(at);
                }
            }
            RunEvent::AttemptSucceeded(event) => {
                let end = AttemptEnd { at: event.ended_at, failure: None, message: None, exit_code: None };
                self.runs.entry(fact.run).or_default().end(&event.id, end);
            }
            RunEvent::AttemptFailed(event) => {
                let end = AttemptEnd {
                    at: event.ended_at,
                    failure: Some(event.failure.kind),
                    message: Some(event.failure.message.clone()),
                    exit_code: event.failure.exit_code,
                };
                self.runs.entry(fact.run).or_default().end(&event.id, end);
            }
            RunEvent::AttemptLost(event) => {
                let end = AttemptEnd {
                    at,
                    failure: Some(FailureKind::Lost),
                    message: Some(event.reason.clone()),
                    exit_code: None,
                };
                self.runs.entry(fact.run).or_default().end(&event.id, end);
            }
            _other => {}
        }
    }
}

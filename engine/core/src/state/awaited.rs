//! What a run waits for.

use super::key::Key;
use super::run_state::RunState;
use crate::event::{BlockReason, TimerId, TimerKind};
use everfold_base::id::{AttemptId, StepPath};
use everfold_base::time::Timestamp;
use everfold_language::definition::Work;

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// Votes on an approval.
    Approval {
        /// The task.
        id: AttemptId,
        /// The roles that may vote; empty: every role.
        roles: Vec<String>,
    },
    /// An answer to a question.
    Question {
        /// The task.
        id: AttemptId,
        /// The roles that may answer; empty: every role.
        roles: Vec<String>,
    },
    /// A decision on a blocked step.
    Unblock {
        /// The step, or an item of it.
        path: StepPath,
        /// Why it is blocked.
        reason: BlockReason,
    },
    /// A moment.
    Timer {
        /// What it belongs to.
        path: StepPath,
        /// When it is due.
        at: Timestamp,
        /// It bounds something else that is awaited.
        is_limit: bool,
    },
    /// A signal.
    Signal {
        /// The step that waits for it.
        path: StepPath,
        /// Its name.
        name: String,
    },
    /// The end of a pause.
    Resume,
    /// Room in a budget: its next period, or a person who raises it.
    Budget {
        /// Which.
        budget: String,
        /// When its next period begins; `None`: never.
        until: Option<Timestamp>,
    },
}

impl RunState {
    /// What the run waits for, people first.
    #[must_use]
    pub fn awaited(&self) -> Vec<Awaited> {
        let facts = &self.facts;
        if facts.ended.is_some() {
            return Vec::new();
        }
        let mut awaited: Vec<Awaited> = Vec::new();
        if facts.paused {
            awaited.push(Awaited::Resume);
        }
        // What a run that is about to end asked is withdrawn, though attempts of it are still being stopped.
        let is_live = |key: &&Key| self.is_live(key.step);
        for key in facts.asking.iter().filter(is_live) {
            let Some(unit) = self.unit_at(*key) else { continue };
            let id = self.attempt_id(*key);
            if let Some(question) = unit.question() {
                awaited.push(Awaited::Question { id, roles: question.terms.roles.clone() });
            } else if let Some(approval) = unit.approval() {
                awaited.push(Awaited::Approval { id, roles: approval.terms.roles.clone() });
            }
        }
        for key in facts.blocked.iter().filter(is_live) {
            if let Some(reason) = self.block_reason(&self.path(*key)) {
                awaited.push(Awaited::Unblock { path: self.path(*key), reason: reason.clone() });
            }
        }
        for key in facts.order.waiting.iter().filter(is_live) {
            if let Some(Work::Wait(wait)) = &self.graph.step(key.step).work {
                let (path, name) = (self.path(*key), wait.signal.clone().unwrap_or_default());
                awaited.push(Awaited::Signal { path, name });
            }
        }
        if !facts.spend.held.is_empty() {
            let over = facts.spend.budgets.iter().filter(|budget| budget.over.is_some());
            awaited.extend(over.map(|budget| Awaited::Budget {
                budget: budget.terms.id.clone(),
                until: budget.period.map(|(_, until)| until),
            }));
        }
        if !facts.paused {
            let is_meant = |timer: &TimerId| {
                let step = self.graph.find(&timer.id.path.step);
                !matches!(timer.kind, TimerKind::Budget | TimerKind::Reminder)
                    && step.is_none_or(|step| self.is_live(step))
            };
            let timers = self.facts.timers.iter().filter(|(timer, _)| is_meant(timer));
            awaited.extend(timers.map(|(timer, at)| Awaited::Timer {
                path: timer.id.path.clone(),
                at: *at,
                is_limit: matches!(timer.kind, TimerKind::Timeout | TimerKind::Deadline | TimerKind::Signal),
            }));
        }
        awaited
    }
}

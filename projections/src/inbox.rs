//! What people are asked: open approvals and blocked steps.

use std::collections::BTreeMap;

use everfold_engine::event::{ApprovalTerms, BlockReason, RunEvent, SignalTaker};
use everfold_engine::id::{AttemptId, Position, Round, RunId, StepPath};
use everfold_engine::json::Payload;
use everfold_engine::time::Timestamp;
use serde::Serialize;

use crate::{Fact, Projection};

/// One thing that a person is to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// What is to be done.
    #[serde(flatten)]
    pub kind: TaskKind,
    /// Since when.
    pub since: Timestamp,
    /// The place of the event that asked; the order of the list.
    pub position: Position,
}

/// What a person is to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TaskKind {
    /// Vote.
    Approval {
        /// What is asked.
        title: String,
        /// What is shown.
        show: Payload,
        /// Who may vote, and what decides.
        terms: ApprovalTerms,
        /// The votes so far, newest of each person.
        votes: BTreeMap<String, String>,
    },
    /// Decide on a blocked step.
    Blocked {
        /// What happened.
        message: String,
        /// Why it is blocked.
        reason: BlockReason,
    },
}

impl Task {
    /// The id of a question: `SHORT_ID:STEP[.ITEM]:ROUND`, with `:blocked` behind it for a blocked step.
    #[must_use]
    pub fn id_of(run: RunId, path: &StepPath, round: Round, blocked: bool) -> String {
        format!("{}:{path}:{round}{}", run.short(), if blocked { ":blocked" } else { "" })
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    pipeline: String,
    title: Option<String>,
    tasks: BTreeMap<(StepPath, bool), Task>,
}

/// The read model `inbox`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inbox {
    runs: BTreeMap<RunId, Known>,
}

impl Inbox {
    /// The open tasks, oldest first; with a role only what that role may do.
    #[must_use]
    pub fn list(&self, role: Option<&str>) -> Vec<&Task> {
        let mut tasks: Vec<&Task> = self.runs.values().flat_map(|run| run.tasks.values()).collect();
        if let Some(role) = role {
            tasks.retain(|task| match &task.kind {
                TaskKind::Approval { terms, .. } => {
                    terms.roles.is_empty() || terms.roles.iter().any(|wanted| wanted == role)
                }
                TaskKind::Blocked { .. } => true,
            });
        }
        tasks.sort_by_key(|task| (task.position, task.id.clone()));
        tasks
    }

    fn ask(&mut self, fact: &Fact<'_>, path: &StepPath, round: Round, kind: TaskKind) {
        let Some(run) = self.runs.get_mut(&fact.run) else { return };
        let blocked = matches!(kind, TaskKind::Blocked { .. });
        let task = Task {
            id: Task::id_of(fact.run, path, round, blocked),
            run: fact.run,
            short_id: fact.run.short(),
            pipeline: run.pipeline.clone(),
            run_title: run.title.clone(),
            step: path.to_string(),
            round,
            kind,
            since: fact.envelope.header.recorded_at,
            position: fact.envelope.position,
        };
        run.tasks.insert((path.clone(), blocked), task);
    }

    fn withdraw(&mut self, run: RunId, gone: impl Fn(&StepPath, bool) -> bool) {
        if let Some(run) = self.runs.get_mut(&run) {
            run.tasks.retain(|(path, blocked), _| !gone(path, *blocked));
        }
    }

    fn voted(&mut self, run: RunId, id: &AttemptId, voter: String, vote: String) {
        let task = self.runs.get_mut(&run).and_then(|run| run.tasks.get_mut(&(id.path.clone(), false)));
        if let Some(Task { kind: TaskKind::Approval { votes, .. }, .. }) = task {
            votes.insert(voter, vote);
        }
    }
}

impl Projection for Inbox {
    const NAME: &'static str = "inbox";
    const SCHEMA: u32 = 1;

    fn apply(&mut self, fact: &Fact<'_>) {
        let run = fact.run;
        match fact.event {
            RunEvent::RunStarted(event) => {
                let known = Known {
                    pipeline: event.pipeline.clone(),
                    title: event.title.clone(),
                    ..Known::default()
                };
                self.runs.insert(run, known);
            }
            RunEvent::ApprovalRequested(event) => {
                let kind = TaskKind::Approval {
                    title: event.title.clone(),
                    show: event.show.clone(),
                    terms: event.terms.clone(),
                    votes: BTreeMap::new(),
                };
                self.ask(fact, &event.id.path, event.id.round, kind);
            }
            RunEvent::VoteCast(event) => {
                let voter = fact.envelope.header.actor.to_string();
                self.voted(run, &event.id, voter, vote_word(event.vote).to_owned());
            }
            RunEvent::ApprovalDecided(event) => {
                self.withdraw(run, |path, blocked| *path == event.id.path && !blocked);
            }
            RunEvent::StepBlocked(event) => {
                let kind = TaskKind::Blocked { message: event.message.clone(), reason: event.reason.clone() };
                self.ask(fact, &event.path, event.round, kind);
            }
            RunEvent::RunUnblocked(event) => {
                self.withdraw(run, |path, blocked| *path == event.unblocked.path && blocked);
            }
            RunEvent::RecheckRequested(event) => {
                self.withdraw(run, |path, blocked| *path == event.path && blocked);
            }
            RunEvent::SignalTaken(event) => {
                if let SignalTaker::Gate { id, .. } = &event.by {
                    self.withdraw(run, |path, blocked| *path == id.path && blocked);
                }
            }
            RunEvent::StepSucceeded(event) => self.withdraw(run, |path, _| is_part(path, &event.path)),
            RunEvent::StepFailed(event) => self.withdraw(run, |path, _| is_part(path, &event.path)),
            RunEvent::StepSkipped(event) => self.withdraw(run, |path, _| is_part(path, &event.path)),
            RunEvent::StepCancelled(event) => self.withdraw(run, |path, _| is_part(path, &event.path)),
            RunEvent::ReworkRequested(event) => {
                self.withdraw(run, |path, _| event.reset.contains(&path.step));
            }
            RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_) => {
                self.runs.remove(&run);
            }
            _other => {}
        }
    }
}

fn is_part(path: &StepPath, of: &StepPath) -> bool {
    path == of || (of.item.is_none() && path.step == of.step)
}

pub(crate) fn vote_word(vote: everfold_engine::definition::Vote) -> &'static str {
    use everfold_engine::definition::Vote;
    match vote {
        Vote::Approve => "approve",
        Vote::Reject => "reject",
        Vote::Changes => "changes",
    }
}

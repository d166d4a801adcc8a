//! What people are asked: open approvals and questions, and blocked steps.

use std::collections::BTreeMap;

use everfold_engine::event::{RunEvent, SignalTaker, TimerKind};
use everfold_engine::id::{Attempt, AttemptId, RunId, StepPath};
use everfold_engine::json::{Hash, Payload, Value};

use crate::task::{Remark, Task, TaskKind};
use crate::{Fact, Projection};

#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    pipeline: String,
    title: Option<String>,
    tasks: BTreeMap<(StepPath, bool), Task>,
    /// The newest text of each kept file, by path.
    files: BTreeMap<String, Hash>,
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
            tasks.retain(|task| task.is_for(role));
        }
        tasks.sort_by_key(|task| (task.position, task.id.clone()));
        tasks
    }

    fn ask(&mut self, fact: &Fact<'_>, id: &AttemptId, kind: TaskKind) {
        let Some(run) = self.runs.get_mut(&fact.run) else { return };
        let blocked = matches!(kind, TaskKind::Blocked { .. });
        let task = Task {
            id: Task::id_of(fact.run, id, blocked),
            run: fact.run,
            short_id: fact.run.short(),
            pipeline: run.pipeline.clone(),
            run_title: run.title.clone(),
            step: id.path.to_string(),
            round: id.round,
            attempt: id.attempt,
            kind,
            since: fact.envelope.header.recorded_at,
            expires_at: None,
            reminded: 0,
            position: fact.envelope.position,
        };
        run.tasks.insert((id.path.clone(), blocked), task);
    }

    /// The open approval or question of an attempt.
    fn asked(&mut self, run: RunId, id: &AttemptId) -> Option<&mut Task> {
        let task = self.runs.get_mut(&run)?.tasks.get_mut(&(id.path.clone(), false))?;
        (task.round == id.round && task.attempt == id.attempt).then_some(task)
    }

    fn answered(&mut self, run: RunId, id: &AttemptId) {
        self.withdraw(run, |path, blocked| *path == id.path && !blocked);
    }

    fn withdraw(&mut self, run: RunId, gone: impl Fn(&StepPath, bool) -> bool) {
        if let Some(run) = self.runs.get_mut(&run) {
            run.tasks.retain(|(path, blocked), _| !gone(path, *blocked));
        }
    }

    fn voted(&mut self, run: RunId, voter: &str, event: &everfold_engine::event::VoteCast) {
        let Some(Task { kind: TaskKind::Approval { votes, comments, value, .. }, .. }) =
            self.asked(run, &event.id)
        else {
            return;
        };
        votes.insert(voter.to_owned(), vote_word(event.vote).to_owned());
        comments.retain(|remark| remark.by != voter);
        let whole = event.comment.iter().map(|text| everfold_engine::event::Comment {
            on: None,
            shown: None,
            line: None,
            quote: None,
            text: text.clone(),
        });
        let said = whole.chain(event.comments.iter().cloned());
        comments.extend(said.map(|comment| Remark { by: voter.to_owned(), comment }));
        if let Some(edited) = &event.edited {
            *value = Some(edited.clone());
        }
    }
}

/// The kept files among what is shown.
fn shown(files: &BTreeMap<String, Hash>, show: &Payload) -> BTreeMap<String, Hash> {
    let Payload::Inline(show) = show else { return BTreeMap::new() };
    let show = show.value();
    let paths = show.as_array().into_iter().flatten().filter_map(Value::as_str);
    paths.filter_map(|path| Some((path.to_owned(), *files.get(path)?))).collect()
}

impl Projection for Inbox {
    const NAME: &'static str = "inbox";
    const SCHEMA: u32 = 2;

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
                let files = self.runs.get(&run).map(|known| shown(&known.files, &event.show));
                let kind = TaskKind::Approval {
                    title: event.title.clone(),
                    show: event.show.clone(),
                    shown: files.unwrap_or_default(),
                    value: event.edit.clone(),
                    terms: event.terms.clone(),
                    votes: BTreeMap::new(),
                    comments: Vec::new(),
                };
                self.ask(fact, &event.id, kind);
            }
            RunEvent::VoteCast(event) => {
                self.voted(run, &fact.envelope.header.actor.to_string(), event);
            }
            RunEvent::ApprovalDecided(event) => self.answered(run, &event.id),
            RunEvent::QuestionAsked(event) => {
                let kind = TaskKind::Question {
                    title: event.title.clone(),
                    text: event.text.clone(),
                    terms: event.terms.clone(),
                    draft: None,
                    saved_by: None,
                };
                self.ask(fact, &event.id, kind);
            }
            RunEvent::AnswerSaved(event) => {
                let by = fact.envelope.header.actor.to_string();
                if let Some(Task { kind: TaskKind::Question { draft, saved_by, .. }, .. }) =
                    self.asked(run, &event.id)
                {
                    *draft = Some(event.answer.clone());
                    *saved_by = Some(by);
                }
            }
            RunEvent::QuestionAnswered(event) => self.answered(run, &event.id),
            RunEvent::TimerSet(event) if event.timer.kind == TimerKind::Expiry => {
                if let Some(task) = self.asked(run, &event.timer.id) {
                    task.expires_at = Some(event.at);
                }
            }
            RunEvent::TimerFired(event) if event.timer.kind == TimerKind::Expiry => {
                self.answered(run, &event.timer.id);
            }
            RunEvent::TimerFired(event) if event.timer.kind == TimerKind::Reminder => {
                if let Some(task) = self.asked(run, &event.timer.id) {
                    task.reminded += 1;
                }
            }
            RunEvent::AttemptSucceeded(event) => {
                if let Some(known) = self.runs.get_mut(&run) {
                    let files = event.artefacts.iter();
                    known.files.extend(files.map(|file| (file.path.clone(), file.blob.hash)));
                }
            }
            // The next attempt of a blocked one begins.
            RunEvent::RetryScheduled(event) => {
                self.withdraw(run, |path, _| *path == event.id.path);
            }
            RunEvent::StepBlocked(event) => {
                self.withdraw(run, |path, _| *path == event.path);
                let kind = TaskKind::Blocked { message: event.message.clone(), reason: event.reason.clone() };
                let id = AttemptId { path: event.path.clone(), round: event.round, attempt: Attempt::FIRST };
                self.ask(fact, &id, kind);
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
            RunEvent::RunForked(event) => {
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

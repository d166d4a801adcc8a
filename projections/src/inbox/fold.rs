//! The fold of the inbox: which event opens, changes or closes which task.

use std::collections::BTreeMap;

use everfold_base::id::{Attempt, AttemptId, StepPath};
use everfold_base::json::{Hash, JsonText, Payload, Value};
use everfold_core::budgets::named;
use everfold_core::event::{ApprovalRequested, BudgetExceeded, RunEvent, SignalTaker, StopReason, TimerKind};
use everfold_language::definition::Vote;

use super::task::{Remark, Task, TaskKind, vote_word};
use super::task_list::{OpenRun, TaskList};
use crate::event_readers::{INBOX, is_read_by, passed_over};
use crate::projection::{Fact, FoldError, Projection};
use crate::write_batch::WriteBatch;

/// The read model `inbox`.
#[derive(Default)]
pub struct InboxModel {
    tasks: TaskList,
}

fn voted(task: &mut Task, voter: &str, event: &everfold_core::event::VoteCast) {
    let TaskKind::Approval { votes, comments, value, seen, .. } = &mut task.kind else { return };
    if event.edited.is_some() {
        // Approvals count for the value that stood when they were given.
        votes.retain(|_, vote| vote != vote_word(Vote::Approve));
    }
    votes.insert(voter.to_owned(), vote_word(event.vote).to_owned());
    comments.retain(|remark| remark.by != voter);
    let whole = event.comment.iter().map(|text| everfold_core::event::Comment {
        on: None,
        shown: None,
        line: None,
        quote: None,
        text: text.clone(),
    });
    let said = whole.chain(event.comments.iter().cloned());
    comments.extend(said.map(|comment| Remark { by: voter.to_owned(), comment }));
    if let Some(edited) = &event.edited {
        *value = Some(edited.clone()).filter(is_something);
        if let Some(seen) = seen {
            seen.replace_value(edited.hash());
        }
    }
}

/// Null is shown as nothing.
fn is_something(payload: &Payload) -> bool {
    *payload != Payload::Inline(JsonText::null())
}

/// Votes of former rounds that count on.
fn kept_votes(event: &ApprovalRequested) -> BTreeMap<String, String> {
    let kept = event.seen.iter().flat_map(|seen| &seen.kept);
    kept.map(|vote| (vote.by.clone(), vote_word(Vote::Approve).to_owned())).collect()
}

/// The kept files among what is shown.
fn shown(files: &BTreeMap<String, Hash>, show: &Payload) -> BTreeMap<String, Hash> {
    let Payload::Inline(show) = show else { return BTreeMap::new() };
    let show = show.value();
    let paths = show.as_array().into_iter().flatten().filter_map(Value::as_str);
    paths.filter_map(|path| Some((path.to_owned(), *files.get(path)?))).collect()
}

impl InboxModel {
    fn fold(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        let run = fact.run;
        match fact.event {
            RunEvent::RunStarted(event) => {
                let known = OpenRun {
                    pipeline: event.pipeline.clone(),
                    title: event.title.clone(),
                    ..OpenRun::default()
                };
                self.tasks.runs.begin(run, known);
                Ok(())
            }
            RunEvent::ApprovalRequested(event) => {
                let files = self.tasks.runs.get(run, batch)?.map(|known| shown(&known.files, &event.show));
                let kind = TaskKind::Approval {
                    title: event.title.clone(),
                    show: event.show.clone(),
                    shown: files.unwrap_or_default(),
                    seen: event.seen.clone(),
                    value: event.edit.clone().filter(is_something),
                    terms: event.terms.clone(),
                    votes: kept_votes(event),
                    comments: Vec::new(),
                };
                self.tasks.ask(fact, &event.id, kind, batch)
            }
            RunEvent::VoteCast(event) => {
                let voter = fact.context.actor.to_string();
                self.tasks.change(fact, &event.id, batch, |task| voted(task, &voter, event))
            }
            RunEvent::ApprovalDecided(event) => self.tasks.answered(fact, &event.id, batch),
            RunEvent::QuestionAsked(event) => {
                let kind = TaskKind::Question {
                    title: event.title.clone(),
                    text: event.text.clone().filter(is_something),
                    terms: event.terms.clone(),
                    draft: None,
                    saved_by: None,
                };
                self.tasks.ask(fact, &event.id, kind, batch)
            }
            RunEvent::AnswerSaved(event) => {
                let by = fact.context.actor.to_string();
                self.tasks.change(fact, &event.id, batch, |task| {
                    if let TaskKind::Question { draft, saved_by, .. } = &mut task.kind {
                        *draft = Some(event.answer.clone()).filter(is_something);
                        *saved_by = Some(by);
                    }
                })
            }
            RunEvent::QuestionAnswered(event) => self.tasks.answered(fact, &event.id, batch),
            RunEvent::TimerSet(event) => match event.timer.kind {
                TimerKind::Expiry => {
                    self.tasks.change(fact, &event.timer.id, batch, |task| task.expires_at = Some(event.at))
                }
                TimerKind::Reminder => self.tasks.reminder_set(fact, event, batch),
                _no_task => Ok(()),
            },
            RunEvent::TimerFired(event) => match event.timer.kind {
                TimerKind::Expiry => self.tasks.answered(fact, &event.timer.id, batch),
                TimerKind::Reminder => self.tasks.reminded(fact, &event.timer, batch),
                _no_task => Ok(()),
            },
            RunEvent::AttemptSucceeded(event) => {
                if !event.artefacts.is_empty()
                    && let Some(known) = self.tasks.runs.change(run, batch)?
                {
                    let files = event.artefacts.iter();
                    known.files.extend(files.map(|file| (file.path.clone(), file.blob.hash)));
                }
                Ok(())
            }
            // The next attempt of a blocked one begins, or people are to be asked anew.
            RunEvent::RetryScheduled(event) => {
                self.tasks.withdraw(fact, batch, |path, _| *path == event.id.path)
            }
            RunEvent::StepBlocked(event) => {
                self.tasks.withdraw(fact, batch, |path, _| *path == event.path)?;
                let kind = TaskKind::Blocked { message: event.message.clone(), reason: event.reason.clone() };
                let id = AttemptId { path: event.path.clone(), round: event.round, attempt: Attempt::FIRST };
                self.tasks.ask(fact, &id, kind, batch)
            }
            // Of all that waits for a budget, the first is listed.
            RunEvent::BudgetExceeded(event) => {
                let BudgetExceeded { reading, measure, id: Some(id) } = event else { return Ok(()) };
                let (budget, measure) = (reading.budget.clone(), measure.as_str());
                // What is reserved comes free or is spent while the work waits, and its run hears of neither.
                let message = match event.is_reserved() {
                    true => format!("the {measure} of {} leaves no room", named(&budget)),
                    false => format!("the {measure} of {} is {}", named(&budget), event.taken()),
                };
                let kind = TaskKind::Budget { budget, message, until: reading.until };
                self.tasks.ask(fact, id, kind, batch)
            }
            RunEvent::FundsGranted(event) => self.tasks.answered(fact, &event.id, batch),
            RunEvent::RunUnblocked(event) => {
                self.tasks.withdraw(fact, batch, |path, blocked| *path == event.unblocked.path && blocked)
            }
            RunEvent::RecheckRequested(event) => {
                self.tasks.withdraw(fact, batch, |path, blocked| *path == event.path && blocked)
            }
            RunEvent::SignalTaken(event) if event.ends.is_some() => {
                self.tasks.withdraw(fact, batch, |_, _| true)
            }
            RunEvent::SignalTaken(event) => match &event.by {
                SignalTaker::Gate { id, .. } => {
                    self.tasks.withdraw(fact, batch, |path, blocked| *path == id.path && blocked)
                }
                _others => Ok(()),
            },
            RunEvent::StepSucceeded(event) => {
                let ends_run = event.finish.is_some();
                self.tasks.withdraw(fact, batch, |path, _| ends_run || is_part(path, &event.path))
            }
            RunEvent::StepFailed(event) => {
                // What an item's failure means is said when all have ended.
                let ends_run = event.path.item.is_none() && (event.finish.is_some() || !event.tolerated);
                self.tasks.withdraw(fact, batch, |path, _| ends_run || is_part(path, &event.path))
            }
            RunEvent::CancelRequested(_) | RunEvent::RunAbandoned(_) => {
                self.tasks.withdraw(fact, batch, |_, _| true)
            }
            RunEvent::StepSkipped(event) => {
                self.tasks.withdraw(fact, batch, |path, _| is_part(path, &event.path))
            }
            RunEvent::StepCancelled(event) => {
                self.tasks.withdraw(fact, batch, |path, _| is_part(path, &event.path))
            }
            RunEvent::ReworkRequested(event) => {
                self.tasks.withdraw(fact, batch, |path, _| event.reset.contains(&path.step))
            }
            RunEvent::RunForked(event) => {
                for copied in fact.taken_over() {
                    // What people said of what is open is the origin's; what was decided has events of its own.
                    if !matches!(copied.event, RunEvent::VoteCast(_) | RunEvent::AnswerSaved(_)) {
                        self.fold(&copied, batch)?;
                    }
                }
                self.tasks.withdraw(fact, batch, |path, _| event.reset.contains(&path.step))?;
                self.tasks.ask_anew(fact, batch)?;
                if event.keeps_spans {
                    self.tasks.put_off(fact, batch)?;
                }
                self.tasks.remind_anew(fact, batch)?;
                // Its budgets are its own, and empty.
                let held = self.tasks.held(fact, batch)?;
                self.tasks.withdraw(fact, batch, |path, blocked| !blocked && held.contains(path))
            }
            // Once the run is to end, open tasks are closed, though work is still being stopped.
            RunEvent::StopRequested(event) => match event.reason {
                StopReason::Cancel | StopReason::RunEnded => self.tasks.withdraw(fact, batch, |_, _| true),
                _run_goes_on => Ok(()),
            },
            RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_) => {
                self.tasks.withdraw(fact, batch, |_, _| true)?;
                self.tasks.runs.end(run, batch)
            }
            other => {
                passed_over(other, INBOX);
                Ok(())
            }
        }
    }
}

impl Projection for InboxModel {
    const NAME: &'static str = "inbox";
    const SCHEMA: u32 = 10;

    fn handles(event: &RunEvent) -> bool {
        match event {
            // One without kept files says nothing of tasks.
            RunEvent::AttemptSucceeded(event) => !event.artefacts.is_empty(),
            other => is_read_by(other, INBOX),
        }
    }

    fn open(batch: &WriteBatch) -> Result<Self, FoldError> {
        Ok(Self { tasks: TaskList::open(batch)? })
    }

    fn apply(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        self.fold(fact, batch)
    }

    fn publish(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        self.tasks.publish(batch)
    }

    fn settle(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        self.tasks.runs.settle(batch)
    }

    fn unsettled(&self) -> usize {
        self.tasks.runs.unsettled()
    }

    fn trim(&mut self) {
        self.tasks.trim();
    }
}

fn is_part(path: &StepPath, of: &StepPath) -> bool {
    path == of || (of.item.is_none() && path.step == of.step)
}

//! What people are asked: open approvals and questions, blocked steps, work that a budget holds; now or at a
//! past position.
//!
//! Law: a task is numbered when it is asked and keeps every form that it had, so that what was open at a
//! position is found without folding anything.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use everfold_engine::event::{BudgetExceeded, RunEvent, SignalTaker, StopReason, TimerKind};
use everfold_engine::id::{Attempt, AttemptId, Position, RunId, StepPath};
use everfold_engine::json::{Hash, JsonText, Payload, Value};
use serde::{Deserialize, Serialize};

use crate::look::{Keys as _, Look};
use crate::postings::{self, Condition, term};
use crate::projection::{FoldError, Projection};
use crate::runbook::RunBook;
use crate::task::{Remark, Task, TaskKind};
use crate::tx::Tx;
use crate::{Fact, rowcodec, spine};

const OPEN: u8 = b'o';
const ROLE: u8 = b'r';
const RUN: u8 = b'u';
/// The role of what anyone may do.
const ANYONE: &str = "*";
/// Tasks that stay in memory though nothing happens to them.
const IDLE_MAX: usize = 4_096;
const HEAD: &[u8] = b"H";

/// What is known of a run that goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    pipeline: String,
    title: Option<String>,
    /// The numbers of its open tasks.
    open: BTreeMap<(StepPath, bool), u32>,
    /// The newest text of each kept file, by path.
    files: BTreeMap<String, Hash>,
}

/// A task, and what it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// Its forms, each with the position since which it holds.
    forms: Vec<(Position, Task)>,
}

struct Cached {
    value: Kept,
    /// Readers were not shown it as it is.
    unseen: bool,
}

/// The read model `inbox`.
#[derive(Default)]
pub struct Inbox {
    count: u32,
    runs: RunBook<Known>,
    tasks: HashMap<u32, Cached>,
    is_count_changed: bool,
    /// Tasks that readers were not shown as they are.
    unseen: Vec<u32>,
}

fn task_key(number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [b'k', a, b, c, d]
}

fn of_run(run: RunId) -> Vec<u8> {
    term(RUN, &run.0.simple().to_string())
}

impl Kept {
    fn decode(bytes: &[u8]) -> Result<Self, FoldError> {
        serde_json::from_slice(bytes).map_err(|error| FoldError::Row(error.to_string()))
    }

    /// The task as it was at a position.
    fn at(&self, position: Position) -> Option<&Task> {
        self.forms.iter().rev().find(|(since, _)| *since <= position).map(|(_, task)| task)
    }
}

/// A read model `inbox`, to be asked.
pub struct InboxView<'a> {
    look: Look<'a>,
    count: u32,
}

/// Part of the open tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskPage {
    /// The tasks, oldest first.
    pub items: Vec<Task>,
    /// Where the next part begins, if there is one.
    pub next: Option<u64>,
}

impl<'a> InboxView<'a> {
    pub(crate) fn new(look: Look<'a>) -> Result<Self, FoldError> {
        let count = count(look.get(HEAD)?)?;
        Ok(Self { look, count })
    }

    /// The open tasks, oldest first, at most `limit` from `cursor` on; with a role only what that role may
    /// do, with a run only what it asks; of a past position, what was open then.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn list(
        &self,
        role: Option<&str>,
        run: Option<RunId>,
        cursor: Option<u64>,
        limit: usize,
        at: Option<Position>,
    ) -> Result<TaskPage, FoldError> {
        let mut all = Vec::new();
        let count = match at {
            None => {
                let of = |role| Condition::Term(term(ROLE, role));
                all.push(Condition::Term(term(OPEN, "")));
                all.extend(role.map(|role| Condition::Any(vec![of(role), of(ANYONE)])));
                self.count
            }
            Some(position) => {
                all.push(Condition::Numbers(spine::living_at(&self.look, self.count, position)?));
                self.count
            }
        };
        all.extend(run.map(|run| Condition::Term(of_run(run))));
        let first = cursor.map_or(0, |cursor| u32::try_from(cursor).unwrap_or(u32::MAX));
        let mut page = TaskPage { items: Vec::new(), next: None };
        let mut failed = None;
        let mut each = |number: u32| -> Result<ControlFlow<()>, FoldError> {
            let Some(bytes) = self.look.get(&task_key(number))? else {
                return Ok(ControlFlow::Continue(()));
            };
            let kept = Kept::decode(&bytes)?;
            let task = kept.at(at.unwrap_or(Position(u64::MAX)));
            let Some(task) = task.filter(|task| role.is_none_or(|role| task.is_for(role))) else {
                return Ok(ControlFlow::Continue(()));
            };
            if page.items.len() == limit {
                page.next = Some(u64::from(number));
                return Ok(ControlFlow::Break(()));
            }
            page.items.push(task.clone().in_one_line());
            Ok(ControlFlow::Continue(()))
        };
        Condition::All(all).walk(&self.look, first..count, false, |number| {
            Ok(each(number).unwrap_or_else(|error| {
                failed = Some(error);
                ControlFlow::Break(())
            }))
        })?;
        match failed {
            Some(error) => Err(error),
            None => Ok(page),
        }
    }

    /// How many tasks are open.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn open_count(&self) -> Result<u64, FoldError> {
        Ok(Condition::Term(term(OPEN, "")).count(&self.look, self.count)?)
    }

    /// What a run asks, oldest first.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn of_run(&self, run: RunId) -> Result<Vec<Task>, FoldError> {
        Ok(self.list(None, Some(run), None, usize::MAX, None)?.items)
    }
}

impl Inbox {
    fn task(&self, tx: &Tx, number: u32) -> Result<Option<Kept>, FoldError> {
        match self.tasks.get(&number) {
            Some(cached) => Ok(Some(cached.value.clone())),
            None => tx.get(&task_key(number))?.map(|bytes| Kept::decode(&bytes)).transpose(),
        }
    }

    fn ask(&mut self, fact: &Fact<'_>, id: &AttemptId, kind: TaskKind, tx: &mut Tx) -> Result<(), FoldError> {
        let number = self.count;
        let Some(run) = self.runs.change(fact.run, tx)? else { return Ok(()) };
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
            since: fact.around.recorded_at,
            expires_at: None,
            reminded: 0,
            position: fact.position,
        };
        let before = run.open.insert((id.path.clone(), blocked), number);
        if let Some(before) = before {
            self.close(before, fact.position, tx)?;
        }
        self.count += 1;
        self.is_count_changed = true;
        spine::born(tx, number, fact.position)?;
        self.index(&task, number, true, tx)?;
        postings::set(tx, &of_run(fact.run), number, true)?;
        let value = Kept { forms: vec![(fact.position, task)] };
        self.tasks.insert(number, Cached { value, unseen: true });
        self.unseen.push(number);
        Ok(())
    }

    fn index(&self, task: &Task, number: u32, on: bool, tx: &mut Tx) -> Result<(), FoldError> {
        postings::set(tx, &term(OPEN, ""), number, on)?;
        if task.roles().is_empty() {
            postings::set(tx, &term(ROLE, ANYONE), number, on)?;
        }
        for role in task.roles() {
            postings::set(tx, &term(ROLE, role), number, on)?;
        }
        Ok(())
    }

    fn close(&mut self, number: u32, at: Position, tx: &mut Tx) -> Result<(), FoldError> {
        if let Some(kept) = self.task(tx, number)?
            && let Some((_, task)) = kept.forms.last()
        {
            self.index(task, number, false, tx)?;
        }
        Ok(spine::ended(tx, number, at)?)
    }

    /// Gives the open approval or question of an attempt another form.
    fn change(
        &mut self,
        fact: &Fact<'_>,
        id: &AttemptId,
        tx: &mut Tx,
        change: impl FnOnce(&mut Task),
    ) -> Result<(), FoldError> {
        let Some(known) = self.runs.get(fact.run, tx)? else { return Ok(()) };
        let Some(number) = known.open.get(&(id.path.clone(), false)).copied() else { return Ok(()) };
        let Some(kept) = self.task(tx, number)? else { return Ok(()) };
        let Some((_, task)) = kept.forms.last() else { return Ok(()) };
        if task.round != id.round || task.attempt != id.attempt {
            return Ok(());
        }
        let mut task = task.clone();
        change(&mut task);
        let cached = self.tasks.entry(number).or_insert(Cached { value: kept, unseen: false });
        let forms = &mut cached.value.forms;
        match forms.last_mut() {
            Some((since, last)) if *since == fact.position => *last = task,
            _earlier => forms.push((fact.position, task)),
        }
        if !std::mem::replace(&mut cached.unseen, true) {
            self.unseen.push(number);
        }
        Ok(())
    }

    fn answered(&mut self, fact: &Fact<'_>, id: &AttemptId, tx: &mut Tx) -> Result<(), FoldError> {
        self.withdraw(fact, tx, |path, blocked| *path == id.path && !blocked)
    }

    /// What of a run is shown as held by a budget.
    fn held(&mut self, fact: &Fact<'_>, tx: &Tx) -> Result<Vec<StepPath>, FoldError> {
        let Some(known) = self.runs.get(fact.run, tx)? else { return Ok(Vec::new()) };
        let open: Vec<_> = known.open.iter().map(|((path, _), number)| (path.clone(), *number)).collect();
        let mut held = Vec::new();
        for (path, number) in open {
            let kept = self.task(tx, number)?;
            let task = kept.as_ref().and_then(|kept| kept.forms.last()).map(|(_, task)| &task.kind);
            held.extend(matches!(task, Some(TaskKind::Budget { .. })).then_some(path));
        }
        Ok(held)
    }

    fn withdraw(
        &mut self,
        fact: &Fact<'_>,
        tx: &mut Tx,
        gone: impl Fn(&StepPath, bool) -> bool,
    ) -> Result<(), FoldError> {
        let is_any_gone = |known: &Known| known.open.keys().any(|(path, blocked)| gone(path, *blocked));
        if !self.runs.get(fact.run, tx)?.is_some_and(is_any_gone) {
            return Ok(());
        }
        let Some(known) = self.runs.change(fact.run, tx)? else { return Ok(()) };
        let mut closed = Vec::new();
        known.open.retain(|(path, blocked), number| {
            let is_gone = gone(path, *blocked);
            closed.extend(is_gone.then_some(*number));
            !is_gone
        });
        for number in closed {
            self.close(number, fact.position, tx)?;
        }
        Ok(())
    }
}

fn voted(task: &mut Task, voter: &str, event: &everfold_engine::event::VoteCast) {
    let TaskKind::Approval { votes, comments, value, .. } = &mut task.kind else { return };
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
    if event.edited.is_some() {
        *value = event.edited.clone().filter(is_something);
    }
}

/// Null is shown as nothing.
fn is_something(payload: &Payload) -> bool {
    *payload != Payload::Inline(JsonText::null())
}

/// The kept files among what is shown.
fn shown(files: &BTreeMap<String, Hash>, show: &Payload) -> BTreeMap<String, Hash> {
    let Payload::Inline(show) = show else { return BTreeMap::new() };
    let show = show.value();
    let paths = show.as_array().into_iter().flatten().filter_map(Value::as_str);
    paths.filter_map(|path| Some((path.to_owned(), *files.get(path)?))).collect()
}

impl Inbox {
    fn fold(&mut self, fact: &Fact<'_>, tx: &mut Tx) -> Result<(), FoldError> {
        let run = fact.run;
        match fact.event {
            RunEvent::RunStarted(event) => {
                let known = Known {
                    pipeline: event.pipeline.clone(),
                    title: event.title.clone(),
                    ..Known::default()
                };
                self.runs.begin(run, known);
                Ok(())
            }
            RunEvent::ApprovalRequested(event) => {
                let files = self.runs.get(run, tx)?.map(|known| shown(&known.files, &event.show));
                let kind = TaskKind::Approval {
                    title: event.title.clone(),
                    show: event.show.clone(),
                    shown: files.unwrap_or_default(),
                    value: event.edit.clone().filter(is_something),
                    terms: event.terms.clone(),
                    votes: BTreeMap::new(),
                    comments: Vec::new(),
                };
                self.ask(fact, &event.id, kind, tx)
            }
            RunEvent::VoteCast(event) => {
                let voter = fact.around.actor.to_string();
                self.change(fact, &event.id, tx, |task| voted(task, &voter, event))
            }
            RunEvent::ApprovalDecided(event) => self.answered(fact, &event.id, tx),
            RunEvent::QuestionAsked(event) => {
                let kind = TaskKind::Question {
                    title: event.title.clone(),
                    text: event.text.clone().filter(is_something),
                    terms: event.terms.clone(),
                    draft: None,
                    saved_by: None,
                };
                self.ask(fact, &event.id, kind, tx)
            }
            RunEvent::AnswerSaved(event) => {
                let by = fact.around.actor.to_string();
                self.change(fact, &event.id, tx, |task| {
                    if let TaskKind::Question { draft, saved_by, .. } = &mut task.kind {
                        *draft = Some(event.answer.clone()).filter(is_something);
                        *saved_by = Some(by);
                    }
                })
            }
            RunEvent::QuestionAnswered(event) => self.answered(fact, &event.id, tx),
            RunEvent::TimerSet(event) if event.timer.kind == TimerKind::Expiry => {
                self.change(fact, &event.timer.id, tx, |task| task.expires_at = Some(event.at))
            }
            RunEvent::TimerFired(event) if event.timer.kind == TimerKind::Expiry => {
                self.answered(fact, &event.timer.id, tx)
            }
            RunEvent::TimerFired(event) if event.timer.kind == TimerKind::Reminder => {
                self.change(fact, &event.timer.id, tx, |task| task.reminded += 1)
            }
            RunEvent::AttemptSucceeded(event) => {
                if !event.artefacts.is_empty()
                    && let Some(known) = self.runs.change(run, tx)?
                {
                    let files = event.artefacts.iter();
                    known.files.extend(files.map(|file| (file.path.clone(), file.blob.hash)));
                }
                Ok(())
            }
            // The next attempt of a blocked one begins.
            RunEvent::RetryScheduled(event) => self.withdraw(fact, tx, |path, _| *path == event.id.path),
            RunEvent::StepBlocked(event) => {
                self.withdraw(fact, tx, |path, _| *path == event.path)?;
                let kind = TaskKind::Blocked { message: event.message.clone(), reason: event.reason.clone() };
                let id = AttemptId { path: event.path.clone(), round: event.round, attempt: Attempt::FIRST };
                self.ask(fact, &id, kind, tx)
            }
            // Of all that waits for a budget, the first is told.
            RunEvent::BudgetExceeded(BudgetExceeded { reading, measure, id: Some(id) }) => {
                let budget = reading.budget.clone();
                let message = format!("the {} of the budget {budget} is used up", measure.as_str());
                let kind = TaskKind::Budget { budget, message, until: reading.until };
                self.ask(fact, id, kind, tx)
            }
            RunEvent::FundsGranted(event) => self.answered(fact, &event.id, tx),
            RunEvent::RunUnblocked(event) => {
                self.withdraw(fact, tx, |path, blocked| *path == event.unblocked.path && blocked)
            }
            RunEvent::RecheckRequested(event) => {
                self.withdraw(fact, tx, |path, blocked| *path == event.path && blocked)
            }
            RunEvent::SignalTaken(event) if event.ends.is_some() => self.withdraw(fact, tx, |_, _| true),
            RunEvent::SignalTaken(event) => match &event.by {
                SignalTaker::Gate { id, .. } => {
                    self.withdraw(fact, tx, |path, blocked| *path == id.path && blocked)
                }
                _others => Ok(()),
            },
            RunEvent::StepSucceeded(event) => {
                let ends_run = event.finish.is_some();
                self.withdraw(fact, tx, |path, _| ends_run || is_part(path, &event.path))
            }
            RunEvent::StepFailed(event) => {
                // What an item's failure means is said when all have ended.
                let ends_run = event.path.item.is_none() && (event.finish.is_some() || !event.tolerated);
                self.withdraw(fact, tx, |path, _| ends_run || is_part(path, &event.path))
            }
            RunEvent::CancelRequested(_) | RunEvent::RunAbandoned(_) => self.withdraw(fact, tx, |_, _| true),
            RunEvent::StepSkipped(event) => self.withdraw(fact, tx, |path, _| is_part(path, &event.path)),
            RunEvent::StepCancelled(event) => self.withdraw(fact, tx, |path, _| is_part(path, &event.path)),
            RunEvent::ReworkRequested(event) => {
                self.withdraw(fact, tx, |path, _| event.reset.contains(&path.step))
            }
            RunEvent::RunForked(event) => {
                for copied in fact.taken_over() {
                    self.fold(&copied, tx)?;
                }
                self.withdraw(fact, tx, |path, _| event.reset.contains(&path.step))?;
                // Its budgets are its own, and empty.
                let held = self.held(fact, tx)?;
                self.withdraw(fact, tx, |path, blocked| !blocked && held.contains(path))
            }
            // The run is to end, by whatever: nobody is asked any more, though what executes is still being stopped.
            RunEvent::StopRequested(event)
                if matches!(event.reason, StopReason::Cancel | StopReason::RunEnded) =>
            {
                self.withdraw(fact, tx, |_, _| true)
            }
            RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_) => {
                self.withdraw(fact, tx, |_, _| true)?;
                self.runs.end(run, tx)
            }
            _other => Ok(()),
        }
    }
}

impl Projection for Inbox {
    const NAME: &'static str = "inbox";
    const SCHEMA: u32 = 5;

    fn heeds(event: &RunEvent) -> bool {
        match event {
            RunEvent::AttemptSucceeded(event) => !event.artefacts.is_empty(),
            RunEvent::RunStarted(_)
            | RunEvent::ApprovalRequested(_)
            | RunEvent::VoteCast(_)
            | RunEvent::ApprovalDecided(_)
            | RunEvent::QuestionAsked(_)
            | RunEvent::AnswerSaved(_)
            | RunEvent::QuestionAnswered(_)
            | RunEvent::TimerSet(_)
            | RunEvent::TimerFired(_)
            | RunEvent::RetryScheduled(_)
            | RunEvent::StepBlocked(_)
            | RunEvent::BudgetExceeded(_)
            | RunEvent::FundsGranted(_)
            | RunEvent::RunUnblocked(_)
            | RunEvent::RecheckRequested(_)
            | RunEvent::SignalTaken(_)
            | RunEvent::StepSucceeded(_)
            | RunEvent::StepFailed(_)
            | RunEvent::CancelRequested(_)
            | RunEvent::RunAbandoned(_)
            | RunEvent::StepSkipped(_)
            | RunEvent::StepCancelled(_)
            | RunEvent::ReworkRequested(_)
            | RunEvent::RunForked(_)
            | RunEvent::StopRequested(_)
            | RunEvent::RunSucceeded(_)
            | RunEvent::RunFailed(_)
            | RunEvent::RunCancelled(_) => true,
            _other => false,
        }
    }

    fn open(tx: &Tx) -> Result<Self, FoldError> {
        Ok(Self { count: count(tx.get(HEAD)?)?, ..Self::default() })
    }

    fn apply(&mut self, fact: &Fact<'_>, tx: &mut Tx) -> Result<(), FoldError> {
        self.fold(fact, tx)
    }

    fn publish(&mut self, tx: &mut Tx) -> Result<(), FoldError> {
        for number in self.unseen.drain(..) {
            let Some(cached) = self.tasks.get_mut(&number) else { continue };
            let bytes =
                serde_json::to_vec(&cached.value).map_err(|error| FoldError::Row(error.to_string()))?;
            tx.put(&task_key(number), bytes);
            cached.unseen = false;
        }
        if std::mem::take(&mut self.is_count_changed) {
            tx.put(HEAD, rowcodec::encode(&self.count)?);
        }
        Ok(())
    }

    fn settle(&mut self, tx: &mut Tx) -> Result<(), FoldError> {
        self.runs.settle(tx)
    }

    fn unsettled(&self) -> usize {
        self.runs.unsettled()
    }

    fn trim(&mut self) {
        self.runs.trim();
        if self.tasks.len() > IDLE_MAX {
            self.tasks.retain(|_, cached| cached.unseen);
        }
    }
}

fn count(head: Option<Cow<'_, [u8]>>) -> Result<u32, FoldError> {
    head.map_or(Ok(0), |bytes| rowcodec::read(&mut &*bytes))
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

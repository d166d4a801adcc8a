//! The tasks of the inbox while they are folded: opened, changed, closed.
//!
//! Law: a task gets its number when it is opened and keeps every form that it had.

use std::collections::{BTreeMap, HashMap};

use everfold_base::id::{AttemptId, Position, StepPath};
use everfold_base::json::Hash;
use serde::{Deserialize, Serialize};

use super::task::{Task, TaskKind};
use super::task_history::{ANYONE, HEAD, OPEN, ROLE, TaskHistory, count, of_run, task_key};
use crate::index::bitmap_index::{self, term};
use crate::index::lifetimes;
use crate::open_runs::OpenRuns;
use crate::projection::{Fact, FoldError};
use crate::row_codec;
use crate::write_batch::WriteBatch;

/// Tasks that stay in memory though nothing happens to them.
const IDLE_MAX: usize = 4_096;

/// What the inbox knows of a run that has not ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenRun {
    pub(super) pipeline: String,
    pub(super) title: Option<String>,
    /// The numbers of its open tasks.
    pub(super) open: BTreeMap<(StepPath, bool), u32>,
    /// The newest text of each kept file, by path.
    pub(super) files: BTreeMap<String, Hash>,
}

struct CachedTask {
    value: TaskHistory,
    /// Its last form is not published.
    unseen: bool,
}

/// The tasks, and the runs that have any.
#[derive(Default)]
pub(super) struct TaskList {
    count: u32,
    pub(super) runs: OpenRuns<OpenRun>,
    tasks: HashMap<u32, CachedTask>,
    is_count_changed: bool,
    /// Tasks whose last form is not published.
    unseen: Vec<u32>,
}

impl TaskList {
    fn task(&self, batch: &WriteBatch, number: u32) -> Result<Option<TaskHistory>, FoldError> {
        match self.tasks.get(&number) {
            Some(cached) => Ok(Some(cached.value.clone())),
            None => batch.get(&task_key(number))?.map(|bytes| TaskHistory::decode(&bytes)).transpose(),
        }
    }

    pub(super) fn ask(
        &mut self,
        fact: &Fact<'_>,
        id: &AttemptId,
        kind: TaskKind,
        batch: &mut WriteBatch,
    ) -> Result<(), FoldError> {
        let number = self.count;
        let Some(run) = self.runs.change(fact.run, batch)? else { return Ok(()) };
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
            since: fact.context.recorded_at,
            expires_at: None,
            reminded: 0,
            remind_at: None,
            position: fact.position,
        };
        let before = run.open.insert((id.path.clone(), blocked), number);
        if let Some(before) = before {
            self.close(before, fact.position, batch)?;
        }
        self.count += 1;
        self.is_count_changed = true;
        lifetimes::born(batch, number, fact.position)?;
        self.index(&task, number, true, batch)?;
        bitmap_index::set(batch, &of_run(fact.run), number, true)?;
        let value = TaskHistory { forms: vec![(fact.position, task)] };
        self.tasks.insert(number, CachedTask { value, unseen: true });
        self.unseen.push(number);
        Ok(())
    }

    fn index(&self, task: &Task, number: u32, on: bool, batch: &mut WriteBatch) -> Result<(), FoldError> {
        bitmap_index::set(batch, &term(OPEN, ""), number, on)?;
        if task.roles().is_empty() {
            bitmap_index::set(batch, &term(ROLE, ANYONE), number, on)?;
        }
        for role in task.roles() {
            bitmap_index::set(batch, &term(ROLE, role), number, on)?;
        }
        Ok(())
    }

    fn close(&mut self, number: u32, at: Position, batch: &mut WriteBatch) -> Result<(), FoldError> {
        if let Some(kept) = self.task(batch, number)?
            && let Some((_, task)) = kept.forms.last()
        {
            self.index(task, number, false, batch)?;
        }
        Ok(lifetimes::ended(batch, number, at)?)
    }

    /// Gives the open approval or question of an attempt another form.
    pub(super) fn change(
        &mut self,
        fact: &Fact<'_>,
        id: &AttemptId,
        batch: &mut WriteBatch,
        change: impl FnOnce(&mut Task),
    ) -> Result<(), FoldError> {
        let Some(known) = self.runs.get(fact.run, batch)? else { return Ok(()) };
        let Some(number) = known.open.get(&(id.path.clone(), false)).copied() else { return Ok(()) };
        let Some(kept) = self.task(batch, number)? else { return Ok(()) };
        let Some((_, task)) = kept.forms.last() else { return Ok(()) };
        if task.round != id.round || task.attempt != id.attempt {
            return Ok(());
        }
        self.change_task(fact, number, batch, change)
    }

    /// Gives an open task another form.
    pub(super) fn change_task(
        &mut self,
        fact: &Fact<'_>,
        number: u32,
        batch: &WriteBatch,
        change: impl FnOnce(&mut Task),
    ) -> Result<(), FoldError> {
        let Some(kept) = self.task(batch, number)? else { return Ok(()) };
        let Some((_, task)) = kept.forms.last() else { return Ok(()) };
        let mut task = task.clone();
        change(&mut task);
        let cached = self.tasks.entry(number).or_insert(CachedTask { value: kept, unseen: false });
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

    pub(super) fn answered(
        &mut self,
        fact: &Fact<'_>,
        id: &AttemptId,
        batch: &mut WriteBatch,
    ) -> Result<(), FoldError> {
        self.withdraw(fact, batch, |path, blocked| *path == id.path && !blocked)
    }

    /// No vote counts on of what a copied run asks.
    pub(super) fn ask_anew(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        for number in self.open_numbers(fact, batch)? {
            self.change_task(fact, number, batch, |task| {
                if let TaskKind::Approval { votes, .. } = &mut task.kind {
                    votes.clear();
                }
            })?;
        }
        Ok(())
    }

    /// The steps of a run with a task for a budget that holds them.
    pub(super) fn held(&mut self, fact: &Fact<'_>, batch: &WriteBatch) -> Result<Vec<StepPath>, FoldError> {
        let Some(known) = self.runs.get(fact.run, batch)? else { return Ok(Vec::new()) };
        let open: Vec<_> = known.open.iter().map(|((path, _), number)| (path.clone(), *number)).collect();
        let mut held = Vec::new();
        for (path, number) in open {
            let kept = self.task(batch, number)?;
            let task = kept.as_ref().and_then(|kept| kept.forms.last()).map(|(_, task)| &task.kind);
            held.extend(matches!(task, Some(TaskKind::Budget { .. })).then_some(path));
        }
        Ok(held)
    }

    pub(super) fn withdraw(
        &mut self,
        fact: &Fact<'_>,
        batch: &mut WriteBatch,
        gone: impl Fn(&StepPath, bool) -> bool,
    ) -> Result<(), FoldError> {
        let is_any_gone = |known: &OpenRun| known.open.keys().any(|(path, blocked)| gone(path, *blocked));
        if !self.runs.get(fact.run, batch)?.is_some_and(is_any_gone) {
            return Ok(());
        }
        let Some(known) = self.runs.change(fact.run, batch)? else { return Ok(()) };
        let mut closed = Vec::new();
        known.open.retain(|(path, blocked), number| {
            let is_gone = gone(path, *blocked);
            closed.extend(is_gone.then_some(*number));
            !is_gone
        });
        for number in closed {
            self.close(number, fact.position, batch)?;
        }
        Ok(())
    }
}

impl TaskList {
    /// Goes on from what is stored.
    pub(super) fn open(batch: &WriteBatch) -> Result<Self, FoldError> {
        Ok(Self { count: count(batch.get(HEAD)?)?, ..Self::default() })
    }

    /// Publishes the tasks that changed.
    pub(super) fn publish(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        for number in self.unseen.drain(..) {
            let Some(cached) = self.tasks.get_mut(&number) else { continue };
            let bytes =
                serde_json::to_vec(&cached.value).map_err(|error| FoldError::Row(error.to_string()))?;
            batch.put(&task_key(number), bytes);
            cached.unseen = false;
        }
        if std::mem::take(&mut self.is_count_changed) {
            batch.put(HEAD, row_codec::encode(&self.count)?);
        }
        Ok(())
    }

    /// Shrinks the cache by what is stored.
    pub(super) fn trim(&mut self) {
        self.runs.trim();
        if self.tasks.len() > IDLE_MAX {
            self.tasks.retain(|_, cached| cached.unseen);
        }
    }
}

//! Queries of the inbox: the open tasks, now or at a past position.

use std::ops::ControlFlow;

use everfold_base::id::{Position, RunId};
use serde::Serialize;

use super::task::Task;
use super::task_history::{ANYONE, HEAD, OPEN, ROLE, TaskHistory, count, of_run, task_key};
use crate::index::bitmap_index::term;
use crate::index::lifetimes;
use crate::index::predicate::Predicate;
use crate::projection::FoldError;
use crate::snapshot::{KeyReader as _, ReadSnapshot};

/// A read model `inbox`, to be asked.
pub struct InboxView<'a> {
    snapshot: ReadSnapshot<'a>,
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
    pub(crate) fn new(snapshot: ReadSnapshot<'a>) -> Result<Self, FoldError> {
        let count = count(snapshot.get(HEAD)?)?;
        Ok(Self { snapshot, count })
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
        match at {
            None => {
                let of = |role| Predicate::Term(term(ROLE, role));
                all.push(Predicate::Term(term(OPEN, "")));
                all.extend(role.map(|role| Predicate::Any(vec![of(role), of(ANYONE)])));
            }
            Some(position) => {
                all.push(Predicate::Numbers(lifetimes::living_at(&self.snapshot, self.count, position)?));
            }
        }
        all.extend(run.map(|run| Predicate::Term(of_run(run))));
        let first = cursor.map_or(0, |cursor| u32::try_from(cursor).unwrap_or(u32::MAX));
        let mut page = TaskPage { items: Vec::new(), next: None };
        let mut failed = None;
        let mut each = |number: u32| -> Result<ControlFlow<()>, FoldError> {
            let Some(bytes) = self.snapshot.get(&task_key(number))? else {
                return Ok(ControlFlow::Continue(()));
            };
            let kept = TaskHistory::decode(&bytes)?;
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
        Predicate::All(all).walk(&self.snapshot, first..self.count, false, |number| {
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

    /// How many tasks are open, or were at a past position.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn open_count(&self, at: Option<Position>) -> Result<u64, FoldError> {
        match at {
            None => Ok(Predicate::Term(term(OPEN, "")).count(&self.snapshot, self.count)?),
            Some(position) => Ok(lifetimes::living_at(&self.snapshot, self.count, position)?.len() as u64),
        }
    }

    /// What a run asks, oldest first.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn of_run(&self, run: RunId) -> Result<Vec<Task>, FoldError> {
        Ok(self.list(None, Some(run), None, usize::MAX, None)?.items)
    }
}

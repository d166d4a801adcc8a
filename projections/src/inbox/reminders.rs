//! How often people were reminded of the tasks of the inbox, and when they are next.

use everfold_base::time::Timestamp;
use everfold_core::event::{ReminderOf, TimerId, TimerSet};

use super::task::TaskKind;
use super::task_list::TaskList;
use crate::projection::{Fact, FoldError};
use crate::write_batch::WriteBatch;

impl TaskList {
    pub(super) fn reminder_set(
        &mut self,
        fact: &Fact<'_>,
        set: &TimerSet,
        batch: &mut WriteBatch,
    ) -> Result<(), FoldError> {
        self.remind(fact, &set.timer, batch, |_, next| *next = Some(set.at))
    }

    pub(super) fn reminded(
        &mut self,
        fact: &Fact<'_>,
        timer: &TimerId,
        batch: &mut WriteBatch,
    ) -> Result<(), FoldError> {
        self.remind(fact, timer, batch, |count, next| {
            *count += 1;
            *next = None;
        })
    }

    /// A copied run waits for people for as long as was left at the moment that it continues.
    pub(super) fn put_off(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        let Some(last) = fact.copied.last() else { return Ok(()) };
        let passed = fact.context.recorded_at.since(last.context.recorded_at);
        for number in self.open_numbers(fact, batch)? {
            self.change_task(fact, number, batch, |task| {
                task.expires_at = task.expires_at.map(|at| at.plus(passed));
            })?;
        }
        Ok(())
    }

    /// A copied run reminds of what it waits for from its own beginning on.
    pub(super) fn remind_anew(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        for number in self.open_numbers(fact, batch)? {
            self.change_task(fact, number, batch, |task| task.reminded = 0)?;
        }
        Ok(())
    }

    fn remind(
        &mut self,
        fact: &Fact<'_>,
        timer: &TimerId,
        batch: &mut WriteBatch,
        change: impl Fn(&mut u32, &mut Option<Timestamp>),
    ) -> Result<(), FoldError> {
        let budget = match timer.reminds_of() {
            Some(ReminderOf::Task) => {
                return self.change(fact, &timer.id, batch, |task| {
                    change(&mut task.reminded, &mut task.remind_at);
                });
            }
            Some(ReminderOf::Blocked) => {
                let Some(known) = self.runs.get(fact.run, batch)? else { return Ok(()) };
                let Some(number) = known.open.get(&(timer.id.path.clone(), true)).copied() else {
                    return Ok(());
                };
                return self.change_task(fact, number, batch, |task| {
                    change(&mut task.reminded, &mut task.remind_at);
                });
            }
            Some(ReminderOf::Budget(budget)) => budget,
            Some(ReminderOf::Signal) | None => return Ok(()),
        };
        for number in self.open_numbers(fact, batch)? {
            self.change_task(fact, number, batch, |task| match &task.kind {
                TaskKind::Budget { budget: own, .. } if own == budget => {
                    change(&mut task.reminded, &mut task.remind_at);
                }
                _others => {}
            })?;
        }
        Ok(())
    }

    pub(super) fn open_numbers(
        &mut self,
        fact: &Fact<'_>,
        batch: &WriteBatch,
    ) -> Result<Vec<u32>, FoldError> {
        let known = self.runs.get(fact.run, batch)?;
        Ok(known.map(|known| known.open.values().copied().collect()).unwrap_or_default())
    }
}

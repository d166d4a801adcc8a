//! The runs that a run started and waits for.

use std::collections::BTreeSet;

use super::key::Key;
use super::run_state::RunState;
use super::step::Stage;
use everfold_base::id::{AttemptId, RunId};
use everfold_language::definition::{ExecutorTask, Work};

impl RunState {
    /// The runs that it started and waits for, where nothing else of it goes on by itself; none where
    /// something does.
    #[must_use]
    pub fn awaited_runs(&self) -> Vec<RunId> {
        let facts = &self.facts;
        let is_busy = !facts.probing.is_empty() || !facts.stops.is_empty() || self.next_agenda().is_some();
        if facts.ended.is_some() || is_busy {
            return Vec::new();
        }
        let held: BTreeSet<&AttemptId> = self.held_by_budgets().collect();
        let begun = facts.attempts.iter().filter(|key| !held.contains(&self.attempt_id(**key)));
        begun.map(|key| self.child_of(*key)).collect::<Option<_>>().unwrap_or_default()
    }

    /// The run that an attempt started and that it waits for.
    fn child_of(&self, key: Key) -> Option<RunId> {
        let Some(Work::Task(ExecutorTask { kind, spec })) = &self.graph.step(key.step).work else {
            return None;
        };
        let has_begun = self.unit_at(key).is_some_and(|unit| unit.stage == Stage::Running);
        let is_awaited = kind == ExecutorTask::RUN && spec.source()["wait"] != false && has_begun;
        self.run().filter(|_| is_awaited).map(|run| run.child(&self.attempt_id(key)))
    }
}

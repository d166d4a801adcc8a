//! The runs that a run started and waits for.

use std::collections::{BTreeMap, BTreeSet};

use super::key::Key;
use super::run_state::RunState;
use super::step::{Stage, StepState};
use everfold_base::id::{Attempt, AttemptId, RunId, StepPath};
use everfold_language::definition::{ExecutorTask, Step, Work};

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
        begun.map(|key| self.awaited_child(*key)).collect::<Option<_>>().unwrap_or_default()
    }

    /// The run that an attempt started and that it waits for.
    fn awaited_child(&self, key: Key) -> Option<RunId> {
        let Some(Work::Task(ExecutorTask { kind, spec })) = &self.graph.step(key.step).work else {
            return None;
        };
        let has_begun = self.unit_at(key).is_some_and(|unit| unit.stage == Stage::Running);
        let is_awaited = kind == ExecutorTask::RUN && spec.source()["wait"] != false && has_begun;
        is_awaited.then(|| self.child_of(&self.attempt_id(key))).flatten()
    }

    /// The run that an attempt starts, or started in the run that this one goes on from.
    #[must_use]
    pub fn child_of(&self, id: &AttemptId) -> Option<RunId> {
        let copied = self.facts.effects.children.get(&id.path).filter(|(attempt, _)| attempt == id);
        copied.map(|(_, child)| *child).or_else(|| self.run().map(|run| run.child(id)))
    }

    /// The run that a step's current attempt started; `None` where its work is no run, or is of many items.
    #[must_use]
    pub fn started_by(&self, step: &Step, facts: &StepState) -> Option<RunId> {
        let is_run = matches!(&step.work, Some(Work::Task(task)) if task.kind == ExecutorTask::RUN);
        let began = matches!(facts.unit.stage, Stage::Running | Stage::Ended(_)) || facts.phase.is_ended();
        if !is_run || facts.items.is_some() || facts.unit.attempt == Attempt::ZERO || !began {
            return None;
        }
        let path = StepPath::step(&step.id);
        self.child_of(&AttemptId { path, round: facts.round, attempt: facts.unit.attempt })
    }

    /// The runs that the current attempts of all steps started.
    pub(super) fn started_runs(&self) -> BTreeMap<StepPath, (AttemptId, RunId)> {
        let started = self.steps().filter_map(|(step, facts)| {
            let child = self.started_by(step, facts)?;
            let path = StepPath::step(&step.id);
            let id = AttemptId { path: path.clone(), round: facts.round, attempt: facts.unit.attempt };
            Some((path, (id, child)))
        });
        started.collect()
    }
}

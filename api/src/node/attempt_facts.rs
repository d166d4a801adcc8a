//! What runs say of single attempts: whether they are in progress, who holds them, how they failed.

use everfold_engine::id::{AttemptId, EffectId};
use everfold_engine::state::{RunState, StepState, Unit};
use everfold_workflows::remote::AttemptFacts;

use super::handle::Node;
use crate::fault::{Code, Fault};

impl Node {
    /// Whether an attempt is scheduled or in progress.
    ///
    /// # Errors
    /// There is no such run or step.
    pub(crate) async fn is_in_progress(&self, id: &EffectId) -> Result<bool, Fault> {
        let attempt = id.attempt.clone();
        let found = self.engine.with_state(id.run, move |state| in_progress(state, &attempt)).await?;
        found.ok_or_else(|| Fault::new(Code::NoStep, format!("there is no step “{}”", id.attempt.path)))
    }

    /// What the run of an attempt says of the worker that holds or held it; nothing where there is no such run or step.
    ///
    /// # Errors
    /// The run cannot be read now.
    pub(crate) async fn attempt_facts(&self, id: &EffectId) -> Result<AttemptFacts, Fault> {
        let attempt = id.attempt.clone();
        let found = self.engine.with_state(id.run, move |state| AttemptFacts {
            hold: state.worker_hold(&attempt).cloned(),
            is_in_progress: in_progress(state, &attempt).unwrap_or(false),
            is_behind: is_behind(state, &attempt),
        });
        match found.await.map_err(Fault::from) {
            Err(fault) if fault.code == Code::NoRun => Ok(AttemptFacts::default()),
            found => found,
        }
    }

    /// How an attempt failed, where it failed and is its step's last one.
    pub(crate) async fn failure_of(&self, id: &EffectId) -> Option<String> {
        let attempt = id.attempt.clone();
        let failure = self.engine.with_state(id.run, move |state| {
            current_unit(state, &attempt)??.failure.as_ref().map(|failure| failure.message.clone())
        });
        failure.await.ok().flatten()
    }
}

fn in_progress(state: &RunState, id: &AttemptId) -> Option<bool> {
    let current = current_unit(state, id)?;
    Some(!state.is_ended() && current.is_some_and(|unit| unit.stage.is_in_flight()))
}

/// Whether the run had such an attempt, and it is over.
fn is_behind(state: &RunState, id: &AttemptId) -> bool {
    let Some((facts, unit)) = facts_of(state, id) else { return false };
    let is_made = unit.is_some_and(|unit| id.attempt <= unit.attempt);
    let is_former = id.round < facts.round;
    id.attempt.0 > 0
        && (is_former || id.round == facts.round && is_made)
        && in_progress(state, id) == Some(false)
}

/// The step or item of an attempt, where the attempt is its last one. The outer `None`: there is no such step.
fn current_unit<'a>(state: &'a RunState, id: &AttemptId) -> Option<Option<&'a Unit>> {
    let (facts, unit) = facts_of(state, id)?;
    Some(unit.filter(|unit| facts.round == id.round && unit.attempt == id.attempt))
}

/// The step of an attempt, with its unit or that of the item. `None`: there is no such step.
fn facts_of<'a>(state: &'a RunState, id: &AttemptId) -> Option<(&'a StepState, Option<&'a Unit>)> {
    let (_, facts) = state.step(&id.path.step)?;
    let unit = match id.path.item {
        None => Some(&facts.unit),
        Some(item) => facts.items.as_ref().and_then(|items| items.units.get(item as usize)),
    };
    Some((facts, unit))
}

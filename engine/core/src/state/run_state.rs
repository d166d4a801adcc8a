//! The state of one run: its facts, and what follows from them for quick lookups.
//!
//! Law: two states are equal when their facts are.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts::Facts;
use super::key::Key;
use super::step::{StepState, Unit};
use crate::effect::Touched;
use crate::event::TimerId;
use everfold_base::actor::Actor;
use everfold_base::id::{AttemptId, InputId, StepId, StepPath};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_language::definition::{Definition, Graph};

/// What the fold reads of an event's envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMeta {
    /// The input's time.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The input.
    pub input: InputId,
}

/// The state of one run.
#[derive(Debug, Clone)]
pub struct RunState {
    pub(crate) graph: Graph,
    /// The folded part.
    pub facts: Facts,
    /// When each timer is due, earliest first: `facts.timers` the other way round.
    pub(super) due: BTreeSet<(Timestamp, TimerId)>,
    pub(super) touched: Vec<Touched>,
    /// The definition that the next fork goes on by, where it is another one.
    pub(super) next: Option<(Hash, Graph)>,
}

impl PartialEq for RunState {
    /// Equal histories: the notes on what was touched do not count.
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts
    }
}

impl RunState {
    /// The state before the first event of a run that is pinned to `definition`.
    #[must_use]
    pub fn new(definition: Arc<Definition>) -> Self {
        let graph = Graph::new(definition);
        let steps = (0..graph.len())
            .map(|at| StepState {
                unmet: u32::try_from(graph.needs(at).len()).unwrap_or(u32::MAX),
                ..StepState::default()
            })
            .collect();
        let facts = Facts { steps, unended: graph.main_len(), ..Facts::default() };
        Self { graph, facts, due: BTreeSet::new(), touched: Vec::new(), next: None }
    }

    /// Sets the definition by which a fork goes on: a caller that folds a `RunForked` that names another
    /// one than the run had, or decides such a fork, does so first.
    pub fn goes_on_by(&mut self, hash: Hash, definition: Arc<Definition>) {
        self.next = Some((hash, Graph::new(definition)));
    }

    /// The graph by which a fork onto a definition goes on; `None`: it is another one, and not loaded.
    pub(crate) fn graph_of(&self, definition: Hash) -> Option<&Graph> {
        let known = self.next.as_ref().filter(|(hash, _)| *hash == definition).map(|(_, graph)| graph);
        let is_own = self.definition_hash() == Some(definition);
        if is_own { Some(&self.graph) } else { known }
    }

    /// The pinned definition.
    #[must_use]
    pub fn definition(&self) -> &Arc<Definition> {
        &self.graph.definition
    }

    /// The parts whose effects may have changed since they were taken last, in no order; some may stand there twice.
    #[must_use]
    pub fn touched(&self) -> &[Touched] {
        &self.touched
    }

    /// The parts whose effects may have changed since the last call.
    pub fn take_touched(&mut self) -> Vec<Touched> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    pub(crate) fn key(&self, path: &StepPath) -> Option<Key> {
        let step = self.graph.find(&path.step)?;
        Some(Key { step, item: path.item })
    }

    pub(crate) fn path(&self, key: Key) -> StepPath {
        StepPath { step: self.step_id(key.step), item: key.item }
    }

    pub(crate) fn step_id(&self, at: usize) -> StepId {
        self.graph.step(at).id.clone()
    }

    pub(crate) fn unit_at(&self, key: Key) -> Option<&Unit> {
        let step = self.facts.steps.get(key.step)?;
        match key.item {
            None => Some(&step.unit),
            Some(item) => step.items.as_ref()?.units.get(item as usize),
        }
    }

    /// The id of a unit's current attempt.
    pub(crate) fn attempt_id(&self, key: Key) -> AttemptId {
        let attempt = self.unit_at(key).map_or(everfold_base::id::Attempt::ZERO, |unit| unit.attempt);
        AttemptId { path: self.path(key), round: self.facts.steps[key.step].round, attempt }
    }

    /// The unit whose current attempt this is, if it is current.
    pub fn current(&self, id: &AttemptId) -> Option<Key> {
        let key = self.key(&id.path)?;
        let unit = self.unit_at(key)?;
        (self.facts.steps[key.step].round == id.round && unit.attempt == id.attempt).then_some(key)
    }
}

//! A run's state by another definition, to decide one input by it.
//!
//! Law: it goes over as a fork does: what has begun must fit, and what is known by number is renumbered by names. It
//! stays the same run: attempts, timers and everything that it used up are what they were, so that the next recorded
//! input finds what it answers.
//!
//! Called by replay, where it asks what another definition would decide.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::fork_check::misfits;
use super::refusal::Refusal;
use crate::input::{Input, InputKind};
use crate::state::{Agenda, RunState};
use everfold_base::actor::Actor;
use everfold_base::id::{InputId, Version};
use everfold_base::json::Hash;
use everfold_language::definition::{Definition, Graph};

/// A definition to decide by, prepared once for many inputs.
#[derive(Debug, Clone)]
pub struct OtherDefinition {
    hash: Hash,
    graph: Graph,
}

impl OtherDefinition {
    /// Prepares a definition.
    #[must_use]
    pub fn new(definition: Arc<Definition>) -> Self {
        Self { hash: definition.hash(), graph: Graph::new(definition) }
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The definition.
    #[must_use]
    pub fn definition(&self) -> &Arc<Definition> {
        &self.graph.definition
    }

    /// The state of a run by this definition.
    ///
    /// # Errors
    /// [`Refusal::OtherPipeline`], [`Refusal::Unfit`]: what a fork to it would be refused for.
    pub fn carry_over(&self, state: &RunState) -> Result<CarriedState, Refusal> {
        let (is, was) = (&self.graph.definition.name, &state.definition().name);
        if is != was {
            return Err(Refusal::OtherPipeline { is: is.clone(), was: was.clone() });
        }
        let version = state.version();
        let unchanged = |state| CarriedState { state, aside: BTreeSet::new(), is_ahead: false, version };
        if state.run().is_none() {
            return Ok(unchanged(RunState::new(Arc::clone(self.definition()))));
        }
        if state.definition_hash() == Some(self.hash) {
            return Ok(unchanged(state.clone()));
        }
        let misfits = misfits(state, &self.graph, &[]);
        if !misfits.is_empty() {
            return Err(Refusal::Unfit { misfits, first: None });
        }
        let (mut state, added) = state.by_definition(self.hash, &self.graph);
        let aside = if added.is_empty() { BTreeSet::new() } else { state.set_aside(&added) };
        Ok(CarriedState { state, aside, is_ahead: !added.is_empty(), version })
    }
}

/// A state by another definition. Steps that may begin by it alone do so first: see [`Self::ahead`].
#[derive(Debug, Clone)]
pub struct CarriedState {
    /// The state, without what the recorded one has on its agenda where something is ahead.
    pub state: RunState,
    aside: BTreeSet<Agenda>,
    is_ahead: bool,
    version: Version,
}

impl CarriedState {
    /// The input by which [`Self::state`] does what going over alone leads to, as a fork does it before anything else:
    /// steps begin that wait for nothing any more. `None`: it leads to nothing.
    #[must_use]
    pub fn ahead(&self) -> Option<Input> {
        self.is_ahead.then(|| Input {
            id: InputId::derive(&format!("ahead/{}", self.version)),
            at: self.state.last_at(),
            actor: Actor::Engine,
            kind: InputKind::Advance,
        })
    }

    /// The state that the input is decided on. It has the version of the recorded one, which events name.
    #[must_use]
    pub fn into_state(self) -> RunState {
        let Self { mut state, aside, version, .. } = self;
        state.put_back(aside);
        state.facts.version = version;
        state
    }
}

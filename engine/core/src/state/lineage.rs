//! What a run goes on from: who started the runs before it, and whether it goes on with something else than they had.
//!
//! Law: it is kept where an approval excludes who started the run, or work names an approval that lets it pass, so that
//! other histories fold to the states that they always did.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::run_state::RunState;
use crate::event::RunForked;
use everfold_base::actor::Actor;
use everfold_base::json::Payload;
use everfold_language::definition::{Definition, Step, Work};

/// What a run goes on from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lineage {
    /// Who started the runs before it, or was behind their starts.
    authors: BTreeSet<Actor>,
    /// It, or one before it, goes on with another input, configuration or definition than its origin had.
    pub(crate) is_changed: bool,
}

impl Lineage {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl RunState {
    /// Who started the run, or one that it goes on from, or is behind such a start.
    pub(crate) fn starters(&self) -> impl Iterator<Item = &Actor> {
        let by = self.facts.started.as_ref().map(|started| &started.by);
        by.into_iter().chain(&self.facts.initiator).chain(&self.facts.lineage.authors)
    }

    /// The run becomes another one; what it was is still there, but for the definition.
    pub(super) fn note_lineage(&mut self, event: &RunForked) {
        if !is_wanted(&self.graph.definition) {
            return;
        }
        let authors: BTreeSet<Actor> = self.starters().cloned().collect();
        let config = event.config.as_ref();
        let is_same = self.facts.input.is(Some(&event.input))
            && self.facts.config.is(config)
            && self.facts.started.as_ref().is_some_and(|started| started.definition == event.definition);
        let lineage = &mut self.facts.lineage;
        lineage.authors = authors;
        lineage.is_changed |= !is_same;
    }
}

fn is_wanted(definition: &Definition) -> bool {
    let wants = |step: &Step| {
        !step.approved.is_empty()
            || matches!(&step.work, Some(Work::Approval(approval)) if !approval.self_approval)
    };
    definition.steps.iter().chain(&definition.on_finish).any(wants)
}

//! What is read of the runs that a run goes on from ([`super::ancestry`]), and how they are noted.

use std::collections::BTreeSet;

use super::run_state::RunState;
use crate::event::RunForked;
use everfold_base::actor::Actor;
use everfold_language::definition::{Definition, Step, Work};

impl RunState {
    /// Who started the run, or one that it goes on from, or is behind such a start.
    pub(crate) fn starters(&self) -> impl Iterator<Item = &Actor> {
        let by = self.facts.started.as_ref().map(|started| &started.by);
        by.into_iter().chain(&self.facts.initiator).chain(&self.facts.ancestry.authors)
    }

    /// The run becomes another one; what it was is still there, but for the definition.
    pub(super) fn note_ancestry(&mut self, event: &RunForked) {
        if !is_wanted(&self.graph.definition) {
            return;
        }
        let authors: BTreeSet<Actor> = self.starters().cloned().collect();
        let config = event.config.as_ref();
        let is_same = self.facts.input.is(Some(&event.input))
            && self.facts.config.is(config)
            && self.facts.started.as_ref().is_some_and(|started| started.definition == event.definition);
        let ancestry = &mut self.facts.ancestry;
        ancestry.authors = authors;
        ancestry.is_changed |= !is_same;
    }
}

fn is_wanted(definition: &Definition) -> bool {
    let wants = |step: &Step| {
        !step.approved.is_empty()
            || matches!(&step.work, Some(Work::Approval(approval)) if !approval.self_approval)
    };
    definition.steps.iter().chain(&definition.on_finish).any(wants)
}

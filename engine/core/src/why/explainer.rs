//! What all explanations of one answer share: the state, the trail, and how much may still be said.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use everfold_base::id::StepPath;

use super::cause::CauseNode;
use super::trail::{Topic, Trail, TrailEvent};
use crate::state::RunState;

/// Causes of one answer.
pub(super) const CAUSES_MAX: usize = 100;
/// How deep they go.
pub(super) const DEPTH_MAX: usize = 8;
/// Things of one kind that are named one by one: items, attempts, needs.
pub(super) const NAMED_MAX: usize = 8;

/// An answer that is being made.
pub(super) struct Explainer<'a> {
    pub(super) state: &'a RunState,
    trail: &'a Trail,
    left: Cell<usize>,
    /// Steps that were explained already.
    known: RefCell<BTreeSet<usize>>,
}

impl<'a> Explainer<'a> {
    pub(super) fn new(state: &'a RunState, trail: &'a Trail) -> Self {
        Self { state, trail, left: Cell::new(CAUSES_MAX), known: RefCell::default() }
    }

    /// Whether another cause may be told, which it is then.
    pub(super) fn has_room(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    /// Whether a step is explained for the first time.
    pub(super) fn is_first(&self, step: usize) -> bool {
        self.known.borrow_mut().insert(step)
    }

    pub(super) fn newest(&self, topic: Topic, about: &str) -> Option<&'a TrailEvent> {
        self.trail.get(topic, about)
    }

    /// The cause, shown by the newest event of a topic.
    pub(super) fn shown(&self, cause: CauseNode, topic: Topic, about: &str) -> CauseNode {
        match self.newest(topic, about) {
            Some(event) => {
                let since = cause.since.or(Some(event.place.at));
                CauseNode { since, evidence: Some(event.evidence()), ..cause }
            }
            None => cause,
        }
    }

    /// The same of a step or item.
    pub(super) fn shown_at(&self, cause: CauseNode, topic: Topic, path: &StepPath) -> CauseNode {
        self.shown(cause, topic, &path.to_string())
    }
}

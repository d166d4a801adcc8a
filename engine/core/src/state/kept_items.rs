//! Items of a `foreach` that are done, and that a retry of the step does not repeat.
//!
//! Law: an item is kept only by the round that a retry begins, and only where the round's list has the same value in its
//! place. A step that passed, or that goes into another round for another reason, keeps none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::step::{Items, Stage};
use super::stored_value::StoredValue;
use crate::event::KeptWork;
use everfold_base::id::{AttemptId, Round, RunId, StepId, StepPath};

/// An item that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptItem {
    /// The item in the list.
    pub(crate) value: StoredValue,
    /// The attempt that did it.
    pub(crate) work: KeptWork,
    pub(crate) output: StoredValue,
    /// A person passed it over.
    pub(crate) is_skipped: bool,
}

/// What is kept, by step and number of the item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptItems(BTreeMap<StepId, BTreeMap<u32, KeptItem>>);

impl KeptItems {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn of(&self, step: &StepId, item: u32) -> Option<&KeptItem> {
        self.0.get(step)?.get(&item)
    }

    /// Whether former rounds left something.
    pub(crate) fn has(&self, step: &StepId) -> bool {
        self.0.contains_key(step)
    }

    /// Keeps what is done of a round of `run`. What the round itself kept is still the work of the attempt that did it.
    pub(crate) fn keep(&mut self, run: RunId, step: &StepId, round: Round, items: &Items) {
        let kept = self.0.entry(step.clone()).or_default();
        for ((item, unit), value) in (0..).zip(&items.units).zip(&items.list) {
            let is_skipped = match &unit.stage {
                Stage::Succeeded => false,
                Stage::Skipped => true,
                _not_done => continue,
            };
            let id = AttemptId { path: StepPath::item(step, item), round, attempt: unit.attempt };
            kept.entry(item).or_insert_with(|| KeptItem {
                value: value.clone(),
                work: KeptWork { run, id },
                output: unit.output.clone(),
                is_skipped,
            });
        }
    }

    /// The step has nothing to keep any more.
    pub(crate) fn forget(&mut self, step: &StepId) {
        self.0.remove(step);
    }

    /// The item is done anew.
    pub(crate) fn forget_item(&mut self, step: &StepId, item: u32) {
        let Some(kept) = self.0.get_mut(step) else { return };
        kept.remove(&item);
        if kept.is_empty() {
            self.0.remove(step);
        }
    }
}

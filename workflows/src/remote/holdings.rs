//! Which attempts each worker was given, and which of them it says that it holds. Pure: no clock, no tasks.
//!
//! Law: what a worker was given after it last said what it holds counts as held, and so does everything of a worker that
//! never says it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use everfold_base::id::EffectId;

use super::name::WorkerName;

/// The attempts in the table that workers hold.
#[derive(Default)]
pub(super) struct Holdings {
    holders: HashMap<EffectId, WorkerName>,
    given: BTreeMap<WorkerName, BTreeSet<EffectId>>,
}

impl Holdings {
    /// A worker has received an attempt, or held it when the engine began.
    pub(super) fn give(&mut self, id: EffectId, worker: &WorkerName) {
        self.take(&id);
        self.given.entry(worker.clone()).or_default().insert(id.clone());
        self.holders.insert(id, worker.clone());
    }

    /// No worker holds it any more.
    pub(super) fn take(&mut self, id: &EffectId) {
        let Some(worker) = self.holders.remove(id) else { return };
        if let Some(given) = self.given.get_mut(&worker) {
            given.remove(id);
            if given.is_empty() {
                self.given.remove(&worker);
            }
        }
    }

    /// What a worker was given and does not name.
    pub(super) fn besides(&self, worker: &WorkerName, named: &BTreeSet<EffectId>) -> Vec<EffectId> {
        self.given.get(worker).map(|given| given.difference(named).cloned().collect()).unwrap_or_default()
    }
}

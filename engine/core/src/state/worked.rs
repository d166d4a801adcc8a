//! How long work took, and how long people were asked, of each step in all its rounds.
//!
//! Law: nothing is decided by it; it follows from the recorded events alone. Time in a queue, between attempts, and while a
//! step is blocked is none of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use everfold_base::id::{AttemptId, StepId, StepPath};
use everfold_base::time::Timestamp;

/// The times of the steps of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Worked {
    /// What is under way, and since when.
    open: BTreeMap<AttemptId, Since>,
    /// Milliseconds of what has ended.
    ended: BTreeMap<StepId, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Since {
    at: Timestamp,
    /// People are asked; else work executes.
    asks: bool,
}

impl Worked {
    /// An attempt began to work.
    pub(super) fn begin(&mut self, id: &AttemptId, at: Timestamp) {
        self.open(id, Since { at, asks: false });
    }

    /// People are asked.
    pub(super) fn ask(&mut self, id: &AttemptId, at: Timestamp) {
        self.open(id, Since { at, asks: true });
    }

    fn open(&mut self, id: &AttemptId, since: Since) {
        self.end_path(&id.path, since.at);
        self.open.insert(id.clone(), since);
    }

    /// What this names ended.
    pub(super) fn end(&mut self, id: &AttemptId, at: Timestamp) {
        if let Some(since) = self.open.remove(id) {
            let worked = u64::try_from(at.since(since.at).as_millis()).unwrap_or(u64::MAX);
            let sum = self.ended.entry(id.path.step.clone()).or_default();
            *sum = sum.saturating_add(worked);
        }
    }

    /// Whatever is under way of a step or an item ended.
    pub(super) fn end_path(&mut self, path: &StepPath, at: Timestamp) {
        self.end_all(at, |id, _since| id.path == *path);
    }

    /// People are asked no more at these steps; work ends when its end is recorded.
    pub(super) fn withdraw(&mut self, steps: &[StepId], at: Timestamp) {
        self.end_all(at, |id, since| since.asks && steps.contains(&id.path.step));
    }

    fn end_all(&mut self, at: Timestamp, which: impl Fn(&AttemptId, &Since) -> bool) {
        let ids: Vec<AttemptId> =
            self.open.iter().filter(|(id, since)| which(id, since)).map(|(id, _)| id.clone()).collect();
        ids.iter().for_each(|id| self.end(id, at));
    }

    /// Milliseconds of what has ended of a step.
    pub(super) fn of(&self, step: &StepId) -> u64 {
        self.ended.get(step).copied().unwrap_or_default()
    }
}

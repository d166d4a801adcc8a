//! The attempts of a run that were asked to stop and have not ended yet.
//!
//! Law: an attempt that was asked to stop is heard as long as its step waits for its end and nothing cut it off.
//! Part of [`super::activity`]; the three sets are stored one after the other.

use std::collections::{BTreeMap, BTreeSet};

use everfold_base::id::{Attempt, AttemptId, Round, StepPath};
use everfold_core::event::StopReason;
use serde::{Deserialize, Serialize};

/// Attempts that were asked to stop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stops {
    /// Whether their steps wait for their ends.
    open: BTreeMap<AttemptId, bool>,
    /// Those whose step, or item, ends whatever they report.
    cut: BTreeSet<AttemptId>,
    /// Those that were asked to stop when the run's end was already certain: nothing cuts them off any more.
    last: BTreeSet<AttemptId>,
}

impl Stops {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Attempts are asked to stop.
    pub(super) fn request(&mut self, ids: &[AttemptId], reason: StopReason) {
        for id in ids {
            self.open.insert(id.clone(), true);
            if matches!(reason, StopReason::Person | StopReason::Deadline) {
                self.cut.insert(id.clone());
            }
        }
        if matches!(reason, StopReason::RunEnded | StopReason::Cancel | StopReason::Parent) {
            self.run_ends();
        }
    }

    /// It is certain how the run ends: those that are open stay heard.
    pub(super) fn run_ends(&mut self) {
        self.last.extend(self.open.keys().cloned());
    }

    /// A round, or an item, ends before its time. Attempts that were asked to stop already are not asked again, and
    /// are not heard any more; the others are asked by an event of their own.
    pub(super) fn cut(&mut self, is_part: impl Fn(&AttemptId) -> bool) {
        let awaited = self.open.iter().filter(|(_, is_awaited)| **is_awaited).map(|(id, _)| id);
        self.cut.extend(awaited.filter(|id| is_part(id) && !self.last.contains(*id)).cloned());
    }

    /// Whether an attempt's step waits for its end and takes what it reports.
    pub(super) fn is_heard(&self, id: &AttemptId) -> bool {
        self.open.get(id).is_some_and(|is_awaited| *is_awaited) && !self.cut.contains(id)
    }

    /// An attempt ended.
    pub(super) fn end(&mut self, id: &AttemptId) {
        self.open.remove(id);
        self.cut.remove(id);
        self.last.remove(id);
    }

    /// The step, or the item, goes on without waiting for its attempts.
    pub(super) fn leave(&mut self, path: &StepPath) {
        if self.open.is_empty() {
            return;
        }
        let first = AttemptId { path: path.clone(), round: Round(0), attempt: Attempt(0) };
        let is_part = |id: &AttemptId| id.path.step == path.step && (path.item.is_none() || id.path == *path);
        for (_, is_awaited) in self.open.range_mut(first..).take_while(|(id, _)| is_part(id)) {
            *is_awaited = false;
        }
    }

    /// Forgets everything; gives the attempts whose steps waited for them.
    pub(super) fn take_awaited(&mut self) -> impl Iterator<Item = AttemptId> + use<> {
        let open = std::mem::take(self).open;
        open.into_iter().filter(|(_, is_awaited)| *is_awaited).map(|(id, _)| id)
    }
}

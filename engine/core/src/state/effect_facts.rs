//! What of a fork's work is not done, which of it was not, and what its origin did.
//!
//! Law: empty in every other run.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::event::{EffectLimits, SpareReason, WorkSpared};
use everfold_base::id::{AttemptId, RunId, StepPath, Version};

/// What of a fork's work is not done, which of it was not, and the runs that its origin started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EffectFacts {
    /// As the fork was asked for.
    pub(super) limits: Option<EffectLimits>,
    /// The newest attempt of a step or item that was spared, and the event that stood in for it.
    pub(super) spared: BTreeMap<StepPath, (AttemptId, Option<Version>)>,
    /// Steps and items of which this run made an attempt itself, where a record stands in for others: what they did to files
    /// stays, whatever is spared later.
    pub(super) made: BTreeSet<StepPath>,
    /// The head of the worktree when the newest attempt of a step or item was scheduled, where a record may stand in for it.
    pub(super) heads: BTreeMap<StepPath, String>,
    /// The first attempts that were held back, each with what it would have done.
    pub(super) held: Vec<(AttemptId, String, Option<Version>)>,
    /// How many were held back, and for how many a record stood in.
    pub(super) totals: (u32, u32),
    /// The runs that copied attempts of steps started: they bear the names that the run gave them which started them.
    pub(super) children: BTreeMap<StepPath, (AttemptId, RunId)>,
}

/// So many attempts that were held back are listed.
const LISTED_MAX: usize = 100;

impl EffectFacts {
    pub(super) fn begin(
        &mut self,
        limits: Option<EffectLimits>,
        children: BTreeMap<StepPath, (AttemptId, RunId)>,
    ) {
        *self = Self { limits, children, ..Self::default() };
    }

    pub(super) fn spare(&mut self, event: &WorkSpared) {
        let version = match &event.reason {
            SpareReason::Recorded { version, .. } => {
                self.totals.1 += 1;
                Some(*version)
            }
            SpareReason::Held { would, version } => {
                self.totals.0 += 1;
                if self.held.len() < LISTED_MAX {
                    self.held.push((event.id.clone(), would.clone(), *version));
                }
                *version
            }
        };
        self.spared.insert(event.id.path.clone(), (event.id.clone(), version));
    }

    /// An attempt is scheduled.
    pub(super) fn schedule(&mut self, path: &StepPath, head: Option<&String>) {
        if self.limits.is_some() {
            match head {
                Some(head) => drop(self.heads.insert(path.clone(), head.clone())),
                None => drop(self.heads.remove(path)),
            }
        }
    }

    /// An attempt has ended.
    pub(super) fn end(&mut self, id: &AttemptId) {
        if self.limits.is_some_and(|limits| limits.replays) && !self.is_spared(id) {
            self.made.insert(id.path.clone());
        }
    }

    pub(crate) fn is_spared(&self, id: &AttemptId) -> bool {
        self.spared.get(&id.path).is_some_and(|(spared, _)| spared == id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

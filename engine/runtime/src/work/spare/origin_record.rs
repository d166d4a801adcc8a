//! What the origin of a fork recorded behind the version of the fork: how attempts ended, and the evidence of gates.

use std::collections::{BTreeMap, HashMap};

use everfold_base::id::{AttemptId, RunId, StepPath, Version};
use everfold_base::json::{Hash, Value};
use everfold_core::decide::work_inputs::Surroundings;

/// How one attempt of the origin ended.
#[derive(Debug, Clone)]
pub(crate) struct RecordedEnd {
    /// The event that says so.
    pub(crate) version: Version,
    pub(crate) id: AttemptId,
    pub(crate) given: GivenThen,
    pub(crate) is_success: bool,
    /// The newest session of each model that it used.
    pub(crate) sessions: BTreeMap<Option<String>, String>,
    /// What it said that its run is found by.
    pub(crate) search: BTreeMap<String, Value>,
}

/// The evidence of one gate.
#[derive(Debug, Clone)]
pub(crate) struct RecordedEvidence {
    /// The event that holds it.
    pub(crate) version: Version,
    /// The attempt that was judged.
    pub(crate) id: AttemptId,
    pub(crate) given: GivenThen,
}

/// What work or a probe was given.
#[derive(Debug, Clone)]
pub(crate) struct GivenThen {
    /// `None`: that cannot be said.
    pub(crate) inputs: Option<Hash>,
    /// The head of the worktree when it was scheduled.
    pub(crate) head: Option<String>,
}

/// What work or a probe of the fork is given.
pub(crate) struct GivenNow {
    pub(crate) inputs: Hash,
    pub(crate) around: Surroundings,
    /// Work of the fork's own may have changed files that no commit holds.
    pub(crate) has_own_files: bool,
}

/// What the origin recorded.
#[derive(Debug)]
pub(crate) struct OriginRecord {
    pub(crate) run: RunId,
    /// By step and item, in the order of the log.
    pub(crate) ends: HashMap<StepPath, Vec<RecordedEnd>>,
    /// By step and gate, in the order of the log.
    pub(crate) evidence: HashMap<(StepPath, String), Vec<RecordedEvidence>>,
}

impl GivenThen {
    fn fits(&self, wanted: &GivenNow) -> bool {
        let is_same_around = match &wanted.around {
            Surroundings::Nothing => true,
            Surroundings::Commit(head) => self.head == *head,
            Surroundings::Files => !wanted.has_own_files,
        };
        is_same_around && self.inputs == Some(wanted.inputs)
    }
}

impl OriginRecord {
    /// The first end behind `taken` of an attempt that was given the same.
    pub(crate) fn end_of(
        &self,
        path: &StepPath,
        taken: Option<Version>,
        wanted: &GivenNow,
    ) -> Option<&RecordedEnd> {
        let ends = self.ends.get(path)?;
        ends.iter().find(|end| taken.is_none_or(|taken| end.version > taken) && end.given.fits(wanted))
    }

    /// The newest end of a step or item that was a success, whatever it was given.
    pub(crate) fn newest_success(&self, path: &StepPath) -> Option<&RecordedEnd> {
        self.ends.get(path)?.iter().rev().find(|end| end.is_success)
    }

    /// The attempt whose end an event recorded.
    pub(crate) fn ended_by(&self, path: &StepPath, version: Version) -> Option<&AttemptId> {
        self.ends.get(path)?.iter().find(|end| end.version == version).map(|end| &end.id)
    }

    /// The last evidence for a gate of an attempt, where the probe was given the same: of one that is asked again and
    /// again, what it came to.
    pub(crate) fn evidence_of(&self, judged: &AttemptId, gate: &str, wanted: &GivenNow) -> Option<Version> {
        let known = self.evidence.get(&(judged.path.clone(), gate.to_owned()))?;
        let known = known.iter().rev().find(|known| known.id == *judged && known.given.fits(wanted));
        known.map(|known| known.version)
    }
}

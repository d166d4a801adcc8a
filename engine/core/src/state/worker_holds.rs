//! Which workers hold attempts, and by which reports attempts ended.
//!
//! Law: what is held is remembered until it ends; of what ended, the newest [`ENDED_MAX`], by which a repeated report is
//! recognised. A copied run begins with none: workers report to the run that gave them the work.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::event::AttemptHolder;
use everfold_base::id::AttemptId;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// How many ended attempts of workers a run remembers.
pub const ENDED_MAX: usize = 1_000;

/// An attempt that a worker holds, or held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerHold {
    /// The worker.
    pub holder: AttemptHolder,
    /// Since when.
    pub since: Timestamp,
    /// How it ended; `None`: it goes on.
    pub end: Option<HoldEnd>,
}

/// How an attempt of a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldEnd {
    /// Its worker reported it: the hash of the report.
    Reported(Hash),
    /// It is lost.
    Lost,
    /// Before its worker reported: it was stopped.
    Unreported,
}

/// What is remembered of attempts of workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkerHolds {
    held: BTreeMap<AttemptId, WorkerHold>,
    /// The newest last.
    ended: VecDeque<(AttemptId, WorkerHold)>,
}

impl WorkerHolds {
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.ended.is_empty()
    }

    /// A worker took an attempt. A former one was never given it.
    pub(crate) fn take(&mut self, id: &AttemptId, holder: &AttemptHolder, since: Timestamp) {
        self.held.insert(id.clone(), WorkerHold { holder: holder.clone(), since, end: None });
    }

    /// An attempt ended; one that no worker held is not remembered.
    pub(crate) fn end(&mut self, id: &AttemptId, end: HoldEnd) {
        let Some(hold) = self.held.remove(id) else { return };
        self.ended.push_back((id.clone(), WorkerHold { end: Some(end), ..hold }));
        if self.ended.len() > ENDED_MAX {
            self.ended.pop_front();
        }
    }

    pub(crate) fn get(&self, id: &AttemptId) -> Option<&WorkerHold> {
        let ended = || self.ended.iter().rev().find(|(ended, _)| ended == id).map(|(_, hold)| hold);
        self.held.get(id).or_else(ended)
    }
}

impl HoldEnd {
    /// The end of work that ended by itself, or was stopped.
    pub(crate) fn of(report: Option<Hash>) -> Self {
        report.map_or(Self::Unreported, Self::Reported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_remembered_and_of_what_ended_the_newest() {
        let id = |at: usize| format!("work/{}/1", at + 1).parse::<AttemptId>().unwrap();
        let holder = AttemptHolder { worker: "token:ci".into(), instance: None, lease: Hash::of(b"lease") };
        let mut holds = WorkerHolds::default();
        holds.end(&id(0), HoldEnd::Lost);
        assert!(holds.is_empty(), "no worker held it");
        for at in 0..ENDED_MAX + 2 {
            holds.take(&id(at), &holder, Timestamp(1));
        }
        let end = HoldEnd::Reported(Hash::of(b"report"));
        (1..ENDED_MAX + 2).for_each(|at| holds.end(&id(at), end));
        assert!(holds.get(&id(0)).is_some_and(|hold| hold.end.is_none()), "it goes on");
        assert_eq!(holds.get(&id(1)), None, "it ended the longest ago");
        for at in [2, ENDED_MAX + 1] {
            assert_eq!(holds.get(&id(at)).and_then(|hold| hold.end), Some(end));
        }
    }
}

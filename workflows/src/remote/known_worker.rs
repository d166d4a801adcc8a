//! Workers that polled or reported. Pure: no clock, no tasks.
//!
//! Law: a bounded number of idle workers is remembered, however many names processes give themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use everfold_base::id::EffectId;
use everfold_base::time::Timestamp;

use super::name::WorkerName;

/// How many workers are remembered that hold nothing and do not poll.
const WORKERS_MAX: usize = 1_000;
/// How long a silent process is remembered: a restarted one is another process.
const INSTANCE_KEPT: Duration = Duration::from_secs(3_600);

/// A worker that polled or reported.
pub(super) struct KnownWorker {
    /// What it does, by its newest poll.
    pub(super) functions: BTreeSet<String>,
    /// All that it holds, as it says; `None`: it does not say.
    pub(super) holds: Option<BTreeSet<EffectId>>,
    /// Its polls that wait.
    pub(super) polls: usize,
    pub(super) since: Timestamp,
    /// Its last poll or report.
    pub(super) at: Timestamp,
}

impl KnownWorker {
    /// Whether a worker is shown: a token lasts, a process that sent nothing for long is gone.
    pub(super) fn is_there(&self, name: &WorkerName, now: Timestamp) -> bool {
        self.polls > 0 || name.instance.is_none() || now.since(self.at) < INSTANCE_KEPT
    }
}

/// Makes room for a worker that is new: processes of long ago go, then, where there are too many, the one that was
/// silent the longest.
pub(super) fn forget(workers: &mut BTreeMap<WorkerName, KnownWorker>, now: Timestamp) {
    workers.retain(|name, seen| seen.is_there(name, now));
    if workers.len() >= WORKERS_MAX {
        let idle = workers.iter().filter(|(_, seen)| seen.polls == 0);
        let oldest = idle.min_by_key(|(_, seen)| seen.at).map(|(name, _)| name.clone());
        oldest.map(|name| workers.remove(&name));
    }
}

//! Workers that were heard of. Pure: no clock, no tasks.
//!
//! Law: however many processes name themselves, so many are remembered and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use everfold_base::time::Timestamp;

use super::name::WorkerName;

/// How many workers are remembered that hold nothing and do not poll.
const WORKERS_MAX: usize = 1_000;
/// How long a process is remembered that is not heard of: started anew, it is another one.
const INSTANCE_KEPT: Duration = Duration::from_secs(3_600);

/// A worker that was heard of.
pub(super) struct Seen {
    /// What it does, by its newest poll.
    pub(super) functions: BTreeSet<String>,
    /// Its polls that wait.
    pub(super) polls: usize,
    pub(super) since: Timestamp,
    /// When it was heard of last.
    pub(super) at: Timestamp,
}

impl Seen {
    /// Whether a worker is to be told of: a token lasts, a process that is not heard of is gone.
    pub(super) fn is_there(&self, name: &WorkerName, now: Timestamp) -> bool {
        self.polls > 0 || name.instance.is_none() || now.since(self.at) < INSTANCE_KEPT
    }
}

/// Makes room for a worker that is new: processes of long ago go, then, where there are too many, the one that was
/// heard of the longest ago.
pub(super) fn forget(workers: &mut BTreeMap<WorkerName, Seen>, now: Timestamp) {
    workers.retain(|name, seen| seen.is_there(name, now));
    if workers.len() >= WORKERS_MAX {
        let idle = workers.iter().filter(|(_, seen)| seen.polls == 0);
        let oldest = idle.min_by_key(|(_, seen)| seen.at).map(|(name, _)| name.clone());
        oldest.map(|name| workers.remove(&name));
    }
}

//! Notices of runs that are not in memory.

use crate::run::notice_progress::NoticeProgress;
use everfold_base::id::RunId;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// The notices of runs that are not in memory.
pub(crate) struct ParkedNotices {
    pub(crate) runs: HashMap<RunId, ParkedRun>,
    pub(crate) most: usize,
}

impl ParkedNotices {
    pub(crate) fn new(shards: usize) -> Self {
        Self { runs: HashMap::new(), most: PARKED_MAX.div_ceil(shards) }
    }

    /// Whether a run need not be loaded for anything but its notices.
    pub(crate) fn has_only_notices(&self, run: &RunId) -> bool {
        self.runs.get(run).is_some_and(|parking| parking.has_ended)
    }
}

/// Most runs whose notices are parked, in all shards.
pub(crate) const PARKED_MAX: usize = 50_000;

/// The notices of one run that is not in memory.
pub(crate) struct ParkedRun {
    pub(crate) notices: BTreeMap<String, NoticeProgress>,
    /// It has ended: nothing else of it is due at any time.
    pub(crate) has_ended: bool,
}

//! Which folded states stay in memory: those of runs with work in progress, and the newest others up
//! to a count and a size.

use lru::LruCache;

use crate::id::RunId;

/// The runs that may leave memory, least recently used first.
pub(super) struct Idle {
    runs: LruCache<RunId, u64>,
    bytes: u64,
    runs_max: usize,
    bytes_max: u64,
}

impl Idle {
    pub(super) fn new(runs_max: usize, bytes_max: u64) -> Self {
        Self { runs: LruCache::unbounded(), bytes: 0, runs_max, bytes_max }
    }

    /// The run has nothing in progress now.
    pub(super) fn rest(&mut self, run: RunId, bytes: u64) {
        let former = self.runs.put(run, bytes);
        self.bytes = self.bytes + bytes - former.unwrap_or(0);
    }

    /// The run is busy, or gone.
    pub(super) fn rouse(&mut self, run: &RunId) {
        if let Some(bytes) = self.runs.pop(run) {
            self.bytes -= bytes;
        }
    }

    /// A run that is one too many.
    pub(super) fn surplus(&mut self) -> Option<RunId> {
        if self.runs.len() <= self.runs_max && self.bytes <= self.bytes_max {
            return None;
        }
        let (run, bytes) = self.runs.pop_lru()?;
        self.bytes -= bytes;
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_least_recently_used_leave_first_by_count_and_by_size() {
        let run = |n: u128| RunId(Uuid::from_u128(n));
        let mut idle = Idle::new(2, 100);
        idle.rest(run(1), 10);
        idle.rest(run(2), 10);
        assert_eq!(idle.surplus(), None);
        idle.rest(run(1), 20);
        idle.rest(run(3), 10);
        assert_eq!(idle.surplus(), Some(run(2)));
        idle.rest(run(3), 90);
        assert_eq!(idle.surplus(), Some(run(1)));
        idle.rouse(&run(3));
        assert_eq!((idle.bytes, idle.surplus()), (0, None));
    }
}

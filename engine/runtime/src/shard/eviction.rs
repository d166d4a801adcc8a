//! Which folded states stay in memory: those of runs with work in progress, and the newest others up
//! to a count and a size.
//!
//! Law: a run that has ended leaves before one that will go on. Only readers need it, and it is
//! loaded again by the first of them.

use lru::LruCache;

use everfold_base::id::RunId;

/// The bounds of the states that stay in memory without work in progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EvictionBounds {
    /// Runs in all.
    pub(crate) runs: usize,
    /// Of them, runs that have ended.
    pub(crate) ended: usize,
    /// Their size in bytes.
    pub(crate) bytes: u64,
}

/// The runs that may leave memory, least recently used first.
pub(crate) struct EvictionQueue {
    living: LruCache<RunId, u64>,
    ended: LruCache<RunId, u64>,
    bytes: u64,
    bounds: EvictionBounds,
}

impl EvictionQueue {
    pub(crate) fn new(bounds: EvictionBounds) -> Self {
        Self { living: LruCache::unbounded(), ended: LruCache::unbounded(), bytes: 0, bounds }
    }

    /// The run has nothing in progress now.
    pub(crate) fn rest(&mut self, run: RunId, bytes: u64, has_ended: bool) {
        self.rouse(&run);
        let runs = if has_ended { &mut self.ended } else { &mut self.living };
        runs.put(run, bytes);
        self.bytes += bytes;
    }

    /// The run is busy, or gone.
    pub(crate) fn rouse(&mut self, run: &RunId) {
        if let Some(bytes) = self.living.pop(run).or_else(|| self.ended.pop(run)) {
            self.bytes -= bytes;
        }
    }

    /// A run that is one too many.
    pub(crate) fn surplus(&mut self) -> Option<RunId> {
        let are_few = self.living.len() + self.ended.len() <= self.bounds.runs
            && self.ended.len() <= self.bounds.ended
            && self.bytes <= self.bounds.bytes;
        if are_few {
            return None;
        }
        let (run, bytes) = self.ended.pop_lru().or_else(|| self.living.pop_lru())?;
        self.bytes -= bytes;
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn run(n: u128) -> RunId {
        RunId(Uuid::from_u128(n))
    }

    #[test]
    fn the_least_recently_used_leave_first_by_count_and_by_size() {
        let mut idle = EvictionQueue::new(EvictionBounds { runs: 2, ended: 2, bytes: 100 });
        idle.rest(run(1), 10, false);
        idle.rest(run(2), 10, false);
        assert_eq!(idle.surplus(), None);
        idle.rest(run(1), 20, false);
        idle.rest(run(3), 10, false);
        assert_eq!(idle.surplus(), Some(run(2)));
        idle.rest(run(3), 90, false);
        assert_eq!(idle.surplus(), Some(run(1)));
        idle.rouse(&run(3));
        assert_eq!((idle.bytes, idle.surplus()), (0, None));
    }

    #[test]
    fn runs_that_have_ended_leave_before_those_that_go_on_and_fewer_of_them_stay() {
        let mut idle = EvictionQueue::new(EvictionBounds { runs: 3, ended: 1, bytes: 100 });
        idle.rest(run(1), 10, false);
        idle.rest(run(2), 10, false);
        idle.rest(run(2), 10, true);
        assert_eq!(idle.surplus(), None);
        idle.rest(run(3), 10, true);
        assert_eq!(idle.surplus(), Some(run(2)));
        idle.rest(run(4), 80, false);
        assert_eq!(idle.surplus(), None);
        idle.rest(run(4), 90, false);
        assert_eq!((idle.surplus(), idle.surplus()), (Some(run(3)), None));
        assert_eq!(idle.bytes, 100);
    }
}

//! The newest output line of each attempt in progress. Not durable; nothing depends on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use everfold_base::id::{AttemptId, EffectId, RunId};
use everfold_base::time::Timestamp;

/// The longest line kept, in bytes.
const LINE_BYTES_MAX: usize = 1_024;

/// The newest output of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveAttempt {
    /// The newest line of its output, cut at 1 KiB.
    pub line: Arc<str>,
    /// When it came.
    pub at: Timestamp,
    /// How many lines there were.
    pub lines: u64,
}

/// The newest output of each attempt of one run.
pub type LiveRun = Arc<BTreeMap<AttemptId, LiveAttempt>>;

/// The number of watches at which closed ones are removed for the first time.
const SWEPT_MIN: usize = 64;

/// The newest lines of all runs: one watch per run that prints or is watched.
#[derive(Default)]
pub(crate) struct Live {
    runs: Mutex<HashMap<RunId, watch::Sender<LiveRun>>>,
    /// The number of watches at which closed ones are removed next: twice those that were left the last time.
    swept_at: AtomicUsize,
}

impl Live {
    pub(crate) fn watch(&self, run: RunId) -> watch::Receiver<LiveRun> {
        let mut runs = self.runs();
        if runs.len() >= self.swept_at.load(Ordering::Relaxed).max(SWEPT_MIN) && !runs.contains_key(&run) {
            runs.retain(|_, sender| sender.receiver_count() > 0 || !sender.borrow().is_empty());
            self.swept_at.store(runs.len() * 2, Ordering::Relaxed);
        }
        runs.entry(run).or_default().subscribe()
    }

    pub(crate) fn line(&self, id: &EffectId, line: &str, at: Timestamp) {
        let line: Arc<str> = cut(line).into();
        self.runs().entry(id.run).or_default().send_modify(|attempts| {
            let attempts = Arc::make_mut(attempts);
            let lines = attempts.get(&id.attempt).map_or(0, |former| former.lines) + 1;
            attempts.insert(id.attempt.clone(), LiveAttempt { line, at, lines });
        });
    }

    /// Forgets an attempt that ended, and a run without listeners.
    pub(crate) fn ended(&self, run: RunId, attempt: &AttemptId) {
        let mut runs = self.runs();
        let Some(sender) = runs.get(&run) else { return };
        if sender.borrow().contains_key(attempt) {
            sender.send_modify(|attempts| {
                Arc::make_mut(attempts).remove(attempt);
            });
        }
        if sender.receiver_count() == 0 && sender.borrow().is_empty() {
            runs.remove(&run);
        }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, watch::Sender<LiveRun>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(line: &str) -> &str {
    let mut end = line.len().min(LINE_BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_base::id::{Attempt, Round, StepPath};
    use uuid::Uuid;

    #[test]
    fn a_listener_sees_the_newest_line_until_the_attempt_ends() {
        let live = Live::default();
        let attempt =
            AttemptId { path: StepPath::step(&"build".into()), round: Round(1), attempt: Attempt(1) };
        let id = EffectId { run: RunId(Uuid::from_u128(1)), attempt: attempt.clone() };
        let seen = live.watch(id.run);
        live.line(&id, "one", Timestamp(1));
        live.line(&id, &"é".repeat(1_000), Timestamp(2));
        let newest = seen.borrow().get(&attempt).cloned().unwrap();
        assert_eq!((newest.lines, newest.line.len()), (2, LINE_BYTES_MAX));
        live.ended(id.run, &attempt);
        assert!(seen.borrow().is_empty());
        drop(seen);
        live.ended(id.run, &attempt);
        assert!(live.runs().is_empty());
    }

    #[test]
    fn listeners_that_are_gone_leave_nothing_behind_for_long() {
        let live = Live::default();
        let kept = live.watch(RunId(Uuid::from_u128(0)));
        for n in 1..10_000 {
            drop(live.watch(RunId(Uuid::from_u128(n))));
        }
        assert!(live.runs().len() <= 256, "{}", live.runs().len());
        let attempt =
            AttemptId { path: StepPath::step(&"build".into()), round: Round(1), attempt: Attempt(1) };
        let id = EffectId { run: RunId(Uuid::from_u128(0)), attempt: attempt.clone() };
        live.line(&id, "heard", Timestamp(1));
        assert!(kept.borrow().contains_key(&attempt));
    }
}

//! The moments a shard waits for, earliest first.
//!
//! Law: of the runs' own timers the queue holds exactly those that the loaded, driven runs list; one that is no longer
//! listed is removed.

use std::collections::BTreeMap;

use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use everfold_core::event::TimerId;

/// A place in the queue.
pub(crate) type TimerKey = (Timestamp, u64);

/// What a moment is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimerDue {
    /// A timer of the run.
    Timer(TimerId),
    /// The reports of re-attached attempts are not waited for any longer.
    ReattachmentOver,
    /// The next try of a notice, by its channel.
    Notice(String),
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeMap<TimerKey, (RunId, TimerDue)>,
    sequence: u64,
}

impl Timers {
    pub(crate) fn add(&mut self, at: Timestamp, run: RunId, due: TimerDue) -> TimerKey {
        self.sequence += 1;
        let key = (at, self.sequence);
        self.queue.insert(key, (run, due));
        key
    }

    pub(crate) fn remove(&mut self, key: TimerKey) {
        self.queue.remove(&key);
    }

    /// The earliest moment.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next one that is due, in due order.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<(RunId, TimerDue, TimerKey)> {
        let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        let (key, (run, due)) = entry.remove_entry();
        Some((run, due, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn moments_come_in_due_order_and_what_was_taken_out_does_not_come() {
        let run = |n: u128| RunId(Uuid::from_u128(n));
        let mut timers = Timers::default();
        timers.add(Timestamp(30), run(1), TimerDue::ReattachmentOver);
        let gone = timers.add(Timestamp(10), run(2), TimerDue::ReattachmentOver);
        timers.add(Timestamp(20), run(3), TimerDue::ReattachmentOver);
        timers.remove(gone);
        assert_eq!(timers.next(), Some(Timestamp(20)));
        assert_eq!(timers.pop(Timestamp(19)), None);
        let due: Vec<_> = std::iter::from_fn(|| timers.pop(Timestamp(30))).map(|(run, ..)| run).collect();
        assert_eq!(due, [run(3), run(1)]);
    }
}

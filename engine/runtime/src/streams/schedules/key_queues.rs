//! The queues of moments whose runs wait for a key.
//!
//! Law: of each key the moments are followed in their order, whichever schedules they are of. Where an engine begins, the
//! order is that in which it comes to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use everfold_base::id::Version;
use everfold_base::time::Timestamp;

/// A moment in a queue; the earlier one goes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueuedTick {
    /// The moment.
    pub(crate) at: Timestamp,
    /// Its schedule.
    pub(crate) name: String,
    /// The version of its event.
    pub(crate) version: Version,
}

/// The moments that wait for keys. At most one of each schedule does.
#[derive(Debug, Default)]
pub(crate) struct KeyQueues {
    queues: Mutex<BTreeMap<String, BTreeSet<QueuedTick>>>,
}

impl KeyQueues {
    /// Whether a moment besides this one waits for the key.
    pub(crate) fn has_other(&self, key: &str, tick: &QueuedTick) -> bool {
        self.lock().get(key).is_some_and(|queue| queue.iter().any(|waiting| waiting != tick))
    }

    /// Puts a moment into the queue of its key, and takes it out of that of a key that it had before; whether it is the
    /// first.
    pub(crate) fn enter(&self, key: &str, tick: &QueuedTick) -> bool {
        let mut queues = self.lock();
        queues.retain(|other, queue| {
            if other != key {
                queue.remove(tick);
            }
            !queue.is_empty()
        });
        let queue = queues.entry(key.to_owned()).or_default();
        queue.insert(tick.clone());
        queue.first() == Some(tick)
    }

    /// Whether an earlier moment waits for the key that this one of a schedule waits for.
    pub(crate) fn is_behind(&self, name: &str, version: Version) -> bool {
        let is_it = |waiting: &QueuedTick| waiting.name == name && waiting.version == version;
        self.lock().values().any(|queue| queue.iter().skip(1).any(is_it))
    }

    /// Takes out the moments that wait no more; those that are the first now where another one was.
    pub(crate) fn keep(&self, waits: impl Fn(&QueuedTick) -> bool) -> Vec<QueuedTick> {
        let (mut queues, mut moved_up) = (self.lock(), Vec::new());
        queues.retain(|_, queue| {
            let former = queue.first().cloned();
            queue.retain(&waits);
            let first = queue.first();
            moved_up.extend(first.filter(|_| first != former.as_ref()).cloned());
            first.is_some()
        });
        moved_up
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<QueuedTick>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(at: i64, name: &str) -> QueuedTick {
        QueuedTick { at: Timestamp(at), name: name.to_owned(), version: Version::FIRST }
    }

    #[test]
    fn the_earlier_moment_goes_first_whichever_came_first() {
        let queues = KeyQueues::default();
        assert!(queues.enter("k", &tick(2, "b")));
        assert!(queues.enter("k", &tick(1, "a")));
        assert!(!queues.enter("k", &tick(2, "b")));
        assert!(queues.enter("other", &tick(3, "c")));
        assert_eq!(queues.keep(|waiting| waiting.name != "a"), [tick(2, "b")]);
        assert_eq!(queues.keep(|_| true), []);
    }

    #[test]
    fn a_moment_whose_key_is_another_one_now_waits_for_that_alone() {
        let queues = KeyQueues::default();
        assert!(queues.enter("k", &tick(1, "a")));
        assert!(queues.enter("other", &tick(1, "a")));
        assert!(queues.enter("k", &tick(2, "b")));
        assert!(!queues.has_other("other", &tick(1, "a")) && queues.has_other("k", &tick(1, "a")));
    }
}

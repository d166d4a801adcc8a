//! Whether appends are taken, and why not.
//!
//! Law: each cause comes and goes by itself; the gravest one is published. The published value and the one that
//! appends are checked against change together: a caller that sees the store writable is not refused.
//!
//! Set by the store's threads; watched by the runtime.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::error::AppendError;
use super::journal::prepare::NoSegment;
use super::lock::OwnershipLost;
use super::writability::Writability;

#[derive(Default)]
struct Causes {
    full: bool,
    /// The index has no room to be rebuilt in.
    index_full: bool,
    /// A folder that was copied, until a person adopts it.
    not_adopted: Option<String>,
    /// The index failed and could not be built again.
    index: Option<String>,
    /// The journal takes no groups until it has a new segment.
    journal: Option<NoSegment>,
    /// The folder belongs to another process.
    not_ours: Option<String>,
}

/// How the index is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IndexHealth {
    /// It holds what the journal holds.
    Whole,
    /// It is being built again.
    Building,
    /// It could not be built, for now.
    Failed {
        /// The cause.
        why: String,
        /// That is because the disk is full.
        is_full: bool,
    },
}

/// The causes that stand, and their watchers.
pub(crate) struct WriteGate {
    causes: Mutex<Causes>,
    published: watch::Sender<Writability>,
    index: watch::Sender<IndexHealth>,
}

impl Default for WriteGate {
    fn default() -> Self {
        let published = watch::Sender::new(Writability::Writable);
        Self { causes: Mutex::default(), published, index: watch::Sender::new(IndexHealth::Whole) }
    }
}

impl WriteGate {
    pub(crate) fn watch(&self) -> watch::Receiver<Writability> {
        self.published.subscribe()
    }

    /// Why appends are refused whatever they hold; that the next segment has no room is not among it.
    pub(crate) fn refusal(&self) -> Option<AppendError> {
        let causes = self.causes();
        if let Some(why) = &causes.not_ours {
            return Some(AppendError::NotOurs(why.clone()));
        }
        match causes.grave() {
            Some(why) => Some(AppendError::ReadOnly(why.clone())),
            None => (causes.index_full || causes.is_journal_full()).then_some(AppendError::Full),
        }
    }

    /// Changes when the index fails and when it is built again.
    pub(crate) fn index(&self) -> watch::Receiver<IndexHealth> {
        self.index.subscribe()
    }

    /// Says how the index is. While it is being built appends wait; they are refused when it failed.
    pub(crate) fn set_index(&self, health: IndexHealth) {
        self.change(|causes| {
            (causes.index, causes.index_full) = match &health {
                IndexHealth::Failed { is_full: true, .. } => (None, true),
                IndexHealth::Failed { why, .. } => {
                    (Some(format!("the index could not be built again: {why}")), false)
                }
                // Not published: appends take a little longer. A full disk stays full until the
                // index is whole.
                IndexHealth::Building => (None, causes.index_full),
                IndexHealth::Whole => (None, false),
            };
            self.index.send_replace(health);
        });
    }

    /// Whether journal and index agree as far as is known.
    pub(crate) fn is_sound(&self) -> bool {
        let causes = self.causes();
        causes.journal.is_none() && causes.not_ours.is_none() && *self.index.borrow() == IndexHealth::Whole
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.change(|causes| causes.full = full);
    }

    /// Says why the folder may not act, or that it may.
    pub(crate) fn set_not_adopted(&self, why: Option<String>) {
        self.change(|causes| causes.not_adopted = why);
    }

    /// Says why the journal takes no groups, or that it does again.
    pub(crate) fn set_journal(&self, why: Option<NoSegment>) {
        self.change(|causes| causes.journal = why);
    }

    /// Ends writing for good.
    pub(crate) fn set_not_ours(&self, why: &OwnershipLost) {
        if self.causes().not_ours.is_none() {
            tracing::error!(%why, "the folder is not this process's any more");
        }
        self.change(|causes| causes.not_ours = Some(why.to_string()));
    }

    fn change(&self, change: impl FnOnce(&mut Causes)) {
        let mut causes = self.causes();
        change(&mut causes);
        let now = match (&causes.not_ours, causes.grave()) {
            (Some(why), _) => Writability::NotOurs(why.clone()),
            (None, Some(why)) => Writability::ReadOnly(why.clone()),
            (None, None) if causes.full || causes.index_full || causes.is_journal_full() => Writability::Full,
            (None, None) => Writability::Writable,
        };
        self.published.send_if_modified(|published| {
            let changed = *published != now;
            *published = now;
            changed
        });
    }

    fn causes(&self) -> MutexGuard<'_, Causes> {
        self.causes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Causes {
    /// Why nothing is written, where that is not for want of room.
    fn grave(&self) -> Option<&String> {
        let journal = self.journal.as_ref().filter(|why| !why.is_full).map(|why| &why.what);
        journal.or(self.not_adopted.as_ref()).or(self.index.as_ref())
    }

    fn is_journal_full(&self) -> bool {
        self.journal.as_ref().is_some_and(|why| why.is_full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s7_a_full_disk_ends_by_itself_and_a_graver_cause_hides_it() {
        let gate = WriteGate::default();
        let watch = gate.watch();
        gate.set_full(true);
        assert_eq!(*watch.borrow(), Writability::Full);
        gate.set_index(IndexHealth::Building);
        assert_eq!(*watch.borrow(), Writability::Full);
        gate.set_index(IndexHealth::Failed { why: "broken".into(), is_full: false });
        assert!(matches!(*watch.borrow(), Writability::ReadOnly(_)));
        gate.set_index(IndexHealth::Whole);
        assert_eq!(*watch.borrow(), Writability::Full);
        gate.set_full(false);
        assert_eq!(*watch.borrow(), Writability::Writable);
    }

    #[test]
    fn s7_a_disk_that_is_too_full_for_the_index_is_full_until_the_index_is_whole() {
        let gate = WriteGate::default();
        let watch = gate.watch();
        gate.set_index(IndexHealth::Failed { why: "no room".into(), is_full: true });
        assert_eq!(*watch.borrow(), Writability::Full);
        assert!(matches!(gate.refusal(), Some(AppendError::Full)));
        gate.set_index(IndexHealth::Building);
        assert_eq!(*watch.borrow(), Writability::Full, "a try is no success");
        gate.set_index(IndexHealth::Whole);
        assert_eq!(*watch.borrow(), Writability::Writable);
        assert!(gate.refusal().is_none());
    }

    #[test]
    fn s7_a_caller_that_sees_the_store_writable_is_not_refused() {
        let gate = std::sync::Arc::new(WriteGate::default());
        for _ in 0..200 {
            gate.set_index(IndexHealth::Failed { why: "no room".into(), is_full: true });
            let rebuilt = std::thread::spawn({
                let gate = gate.clone();
                move || gate.set_index(IndexHealth::Whole)
            });
            let watch = gate.watch();
            while *watch.borrow() != Writability::Writable {
                std::hint::spin_loop();
            }
            assert!(gate.refusal().is_none());
            assert_eq!(*gate.index().borrow(), IndexHealth::Whole);
            rebuilt.join().unwrap();
        }
    }
}

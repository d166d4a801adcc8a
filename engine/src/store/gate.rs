//! Whether appends are taken, and why not.
//!
//! Law: each cause comes and goes by itself; what is told is the gravest one.
//!
//! Set by the store's threads; watched by the driver.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::Writability;

#[derive(Default)]
struct Causes {
    full: bool,
    /// The index has no room to be mended in.
    index_full: bool,
    /// A folder that was copied, until somebody adopts it.
    not_adopted: Option<String>,
    /// The index failed and could not be built again.
    index: Option<String>,
    /// The journal takes no more groups.
    journal: Option<String>,
}

/// One cause that ends writing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cause {
    NotAdopted,
    Journal,
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

/// The causes that stand, and who watches them.
pub(crate) struct Gate {
    causes: Mutex<Causes>,
    told: watch::Sender<Writability>,
    index: watch::Sender<IndexHealth>,
}

impl Default for Gate {
    fn default() -> Self {
        let told = watch::Sender::new(Writability::Writable);
        Self { causes: Mutex::default(), told, index: watch::Sender::new(IndexHealth::Whole) }
    }
}

impl Gate {
    pub(crate) fn watch(&self) -> watch::Receiver<Writability> {
        self.told.subscribe()
    }

    /// Why appends are refused whatever they hold; a full disk is not among it.
    pub(crate) fn read_only(&self) -> Option<String> {
        match &*self.told.borrow() {
            Writability::ReadOnly(why) => Some(why.clone()),
            Writability::Writable | Writability::Full => None,
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
                // Nobody need know: appends take a little longer.
                IndexHealth::Building | IndexHealth::Whole => (None, false),
            };
        });
        self.index.send_replace(health);
    }

    /// Whether journal and index agree as far as is known.
    pub(crate) fn is_sound(&self) -> bool {
        let causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
        causes.journal.is_none() && *self.index.borrow() == IndexHealth::Whole
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.change(|causes| causes.full = full);
    }

    pub(crate) fn set(&self, cause: Cause, why: Option<String>) {
        self.change(|causes| match cause {
            Cause::NotAdopted => causes.not_adopted = why,
            Cause::Journal => causes.journal = why,
        });
    }

    fn change(&self, change: impl FnOnce(&mut Causes)) {
        let mut causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut causes);
        let grave = causes.journal.as_ref().or(causes.not_adopted.as_ref()).or(causes.index.as_ref());
        let now = match grave {
            Some(why) => Writability::ReadOnly(why.clone()),
            None if causes.full || causes.index_full => Writability::Full,
            None => Writability::Writable,
        };
        self.told.send_if_modified(|told| {
            let changed = *told != now;
            *told = now;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s7_a_full_disk_ends_by_itself_and_a_graver_cause_hides_it() {
        let gate = Gate::default();
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
}

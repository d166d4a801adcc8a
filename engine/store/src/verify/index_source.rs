//! The index that a verification compares with the journal.
//!
//! Law: that of an open store is held for one look-up at a time, so that a rebuild, for which readers and writers wait,
//! never waits for a verification.

use std::sync::{Arc, Weak};

use crate::sled::Index;
use crate::store_core::StoreCore;

/// Where a verification looks things up.
pub(super) enum IndexSource<'a> {
    /// There is nothing to compare with.
    Absent,
    /// A copy that nothing changes.
    Copied(Arc<Index>),
    /// That of an open store, as long as it is the one that was found at the start.
    Open { core: &'a StoreCore, found: Weak<Index> },
}

impl IndexSource<'_> {
    /// The index, for one look-up.
    pub(super) fn get(&self) -> Option<Arc<Index>> {
        match self {
            Self::Absent => None,
            Self::Copied(index) => Some(Arc::clone(index)),
            Self::Open { core, found } => core.index().ok().filter(|_| core.is_index(found)),
        }
    }

    /// Whether it was replaced since the start.
    pub(super) fn is_replaced(&self) -> bool {
        matches!(self, Self::Open { .. }) && self.get().is_none()
    }
}

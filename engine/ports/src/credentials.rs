//! Credentials that requests bring for their runs.
//!
//! Law: a value is never shown, compared or hashed; what keeps it says which run may use it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use everfold_base::id::RunId;
use everfold_base::time::Timestamp;

/// The values that a request brings, by name. Shown by their names alone.
#[derive(Clone, Default)]
pub struct BroughtCredentials(BTreeMap<String, String>);

impl BroughtCredentials {
    /// Whether the request brings none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a value; one that is there already is left as it is, and false is returned.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) -> bool {
        use std::collections::btree_map::Entry;
        match self.0.entry(name.into()) {
            Entry::Vacant(entry) => {
                entry.insert(value.into());
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// The names and the values, which are for sealing alone.
    pub fn reveal(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for BroughtCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Credentials cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CredentialError {
    /// What happened, and where.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The disk has no room for them.
    pub is_full: bool,
}

/// Keeps what requests bring, for as long as their runs need it. Every call may wait for a disk.
pub trait Credentials: Send + Sync {
    /// Keeps values for a run, durably; a value replaces the one of the same name.
    ///
    /// # Errors
    /// They cannot be kept; those that were there may be replaced.
    fn keep(&self, run: RunId, brought: &BroughtCredentials, now: Timestamp) -> Result<(), CredentialError>;

    /// From now on a run uses those of its parent, and where that has none of a name, those of the runs above that its
    /// parent uses, the nearest first. Nothing is written where there are none.
    ///
    /// # Errors
    /// It cannot be noted.
    fn share(&self, run: RunId, parent: RunId) -> Result<(), CredentialError>;

    /// The names of those that a run can use.
    ///
    /// # Errors
    /// Those of the operating system.
    fn names(&self, run: RunId) -> std::io::Result<BTreeSet<String>>;

    /// Whether anything is kept for a run. Waits for nothing.
    fn has_any(&self, run: RunId) -> bool;

    /// Removes what is kept for a run.
    ///
    /// # Errors
    /// Those of the operating system.
    fn remove(&self, run: RunId) -> std::io::Result<()>;

    /// Removes the values of a run that were brought before a time; says how many these were.
    ///
    /// # Errors
    /// Those of the operating system.
    fn remove_older(&self, run: RunId, than: Timestamp) -> std::io::Result<usize>;

    /// The runs for which something is kept.
    ///
    /// # Errors
    /// Those of the operating system.
    fn runs(&self) -> std::io::Result<Vec<RunId>>;
}

//! The runs before a run: the fold keeps who started them, and whether the run goes on with something else than they had.
//!
//! Law: the fold keeps it where an approval excludes who started the run, or work names an approval that lets it pass, so
//! that other histories fold to the states that they always did.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use everfold_base::actor::Actor;

/// What a run goes on from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ancestry {
    /// Who started the runs before it, or was behind their starts.
    pub(crate) authors: BTreeSet<Actor>,
    /// The run, or one before it, goes on with another input, configuration or definition than its origin had.
    pub(crate) is_changed: bool,
}

impl Ancestry {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

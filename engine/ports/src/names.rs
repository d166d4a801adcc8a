//! What a function may ask of the names that are given once.
//!
//! Law: data; the runtime gives the names and records them before it answers.

use everfold_core::unique_names::{NameRefusal, ScopeFull, WantedName};

/// A name that the step of an attempt wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameRequest {
    /// A name is given once in a scope.
    pub scope: String,
    /// What is wanted.
    pub wanted: WantedName,
}

/// A wish for which the step of an attempt may have been given a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameWish {
    /// A name is given once in a scope.
    pub scope: String,
    /// [`WantedName::wish`]
    pub wish: String,
}

/// Why no name was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFailure {
    /// The scope holds as many as it may.
    #[error(transparent)]
    Full(#[from] ScopeFull),
    /// All names that were wanted are taken, and so are all that follow them.
    #[error("none of the names is free")]
    NoneFree,
    /// The store cannot be asked now.
    #[error("the names cannot be read or recorded now: {0}")]
    Store(String),
    /// The caller is not an attempt of an engine.
    #[error("names are given to the steps of runs only")]
    NoStep,
}

impl From<NameRefusal> for NameFailure {
    fn from(refusal: NameRefusal) -> Self {
        match refusal {
            NameRefusal::Full(full) => Self::Full(full),
            NameRefusal::NoneFree => Self::NoneFree,
        }
    }
}

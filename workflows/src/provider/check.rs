//! What a service says of a commit.

use serde::Serialize;

/// What one check says of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What it says.
    pub state: CheckState,
    /// The service's own word.
    pub status: String,
    /// Where to read more.
    pub url: Option<String>,
    /// What it says in short.
    pub description: Option<String>,
}

/// What a check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It found something wrong, or broke.
    Fail,
    /// It has not ended.
    Pending,
    /// It found nothing wrong, or does not apply.
    Pass,
}

//! What people say of a pull request.

use schemars::JsonSchema;
use serde::Serialize;

/// A review of a pull request, as its service tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Who reviewed.
    pub by: String,
    /// What they decided.
    pub state: ReviewState,
    /// The commit that they looked at; `None`: the service does not say.
    pub sha: Option<String>,
    /// The service says that the request has changed since.
    pub stale: bool,
    /// It was taken back.
    pub dismissed: bool,
    /// When, in the service's own words.
    pub at: Option<String>,
    /// Where to read it.
    pub url: Option<String>,
}

/// What a review decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(description = "")]
pub enum ReviewState {
    /// It may be merged.
    Approved,
    /// It may not.
    ChangesRequested,
    /// Nothing: a remark, a draft, a request to look.
    Comment,
}

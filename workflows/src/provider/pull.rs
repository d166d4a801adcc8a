//! Pull requests, whatever the service calls them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;

/// A pull request, or a merge request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// Its number in the repository.
    pub number: u64,
    /// Where people look at it.
    pub url: String,
    /// Its title.
    pub title: String,
    /// Whether it is open.
    pub state: PullState,
    /// The branch that is to be merged.
    pub head: String,
    /// The branch that it is to be merged into.
    pub base: String,
    /// The newest commit of `head` that the service knows.
    pub sha: String,
    /// Whether it can be merged without conflicts; `None`: the service is finding out, or does not say.
    pub mergeable: Option<bool>,
    /// The service's own word on that.
    pub mergeable_state: Option<String>,
    /// The commit that the merge made.
    pub merge_sha: Option<String>,
    /// It says itself that it is not ready.
    pub draft: bool,
    /// A check that belongs to the request and not to its commit.
    #[serde(skip)]
    pub check: Option<Check>,
}

/// Whether a pull request is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PullState {
    /// It can still be merged.
    Open,
    /// It was closed without a merge.
    Closed,
    /// It was merged.
    Merged,
}

/// A pull request to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPull {
    /// The branch that is to be merged.
    pub head: String,
    /// The branch that it is to be merged into.
    pub base: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// It is not ready to be merged.
    pub draft: bool,
}

/// How a pull request is to be merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeOrder {
    /// In which way.
    pub method: MergeMethod,
    /// Only if this is still its newest commit.
    pub sha: Option<String>,
    /// The first line of the merge commit's message.
    pub title: Option<String>,
    /// The rest of it.
    pub message: Option<String>,
    /// The branch goes afterwards.
    pub delete_branch: bool,
}

/// Ways to merge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(description = "")]
pub enum MergeMethod {
    /// A commit with two parents.
    #[default]
    Merge,
    /// One new commit.
    Squash,
    /// The commits again, on top.
    Rebase,
}

/// A number of a pull request: `7`, `"7"`, `"#7"`, `"!7"`, or the end of its address.
pub(crate) fn pull_number(value: &serde_json::Value) -> Option<u64> {
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let text = value.as_str()?.trim().trim_end_matches('/');
    let text = if text.contains("://") { text.rsplit('/').next()? } else { text };
    text.trim_start_matches(['#', '!']).parse().ok()
}

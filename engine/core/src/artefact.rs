//! What work leaves behind: files, usage, a workspace. Events hold these; executors and workspaces fill them in.

use serde::{Deserialize, Serialize};

use everfold_base::json::BlobRef;

/// A kept file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// Its name in `outputs`.
    pub name: String,
    /// Where it was, relative to the workdir.
    pub path: String,
    /// Its content, kept as a blob of the run.
    pub blob: BlobRef,
}

/// What work used up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The model, where there is one.
    pub model: Option<String>,
    /// Tokens read, those from a cache left out.
    pub input_tokens: u64,
    /// Tokens read from a cache.
    pub cached_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar.
    pub cost_micros: u64,
    /// The agent's own session, for a later `session: resume`.
    pub session: Option<String>,
}

/// A run's workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// The folder; absolute.
    pub path: String,
    /// The repository it belongs to.
    pub repository: Option<String>,
    /// The run's branch.
    pub branch: Option<String>,
    /// The branch it started from.
    pub base: Option<String>,
    /// The commit it started from.
    pub commit: Option<String>,
}

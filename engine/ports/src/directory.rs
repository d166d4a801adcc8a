//! The port for finding runs by labels, status and pipeline.
//!
//! Law: an answer holds everything that was durable when it was asked for.

use everfold_base::id::{Position, RunId};
use everfold_base::time::Timestamp;
use everfold_core::state::RunStatus;
use futures::future::BoxFuture;
use std::collections::BTreeMap;

/// Which runs are meant; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Labels with these values; empty: any.
    pub labels: BTreeMap<String, String>,
    /// One of these; empty: any.
    pub status: Vec<RunStatus>,
    /// The pipeline's name.
    pub pipeline: Option<String>,
    /// Started later than this.
    pub started_after: Option<Timestamp>,
    /// At most so many are named; all are counted.
    pub limit: usize,
}

impl RunQuery {
    /// Whether a run is one of those that are meant.
    #[must_use]
    pub fn fits(&self, run: &FoundRun) -> bool {
        self.labels.iter().all(|(name, value)| run.labels.get(name) == Some(value))
            && (self.status.is_empty() || self.status.contains(&run.status))
            && self.pipeline.as_ref().is_none_or(|pipeline| *pipeline == run.pipeline)
            && self.started_after.is_none_or(|after| run.started_at > after)
    }
}

/// A run that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRun {
    /// The run.
    pub run: RunId,
    /// The pipeline's name.
    pub pipeline: String,
    /// For readers.
    pub title: Option<String>,
    /// Addresses and filters.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub status: RunStatus,
    /// When it was started.
    pub started_at: Timestamp,
}

/// The answer to a [`RunQuery`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundRuns {
    /// How many there are.
    pub total: u64,
    /// The newest of them, newest first.
    pub runs: Vec<FoundRun>,
    /// The store's position up to which this is true.
    pub position: Position,
}

/// The store's runs could not be asked about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the list of runs cannot be read now: {0}")]
pub struct DirectoryError(pub String);

/// Finds runs by what is known of them: their labels and what they are doing.
///
/// An answer holds everything that was durable when it was asked for.
pub trait Directory: Send + Sync + 'static {
    /// The runs that fit.
    fn runs(&self, query: RunQuery) -> BoxFuture<'static, Result<FoundRuns, DirectoryError>>;

    /// One run; `None`: there is none of that id.
    fn run(&self, run: RunId) -> BoxFuture<'static, Result<Option<FoundRun>, DirectoryError>> {
        let error = DirectoryError(format!("the run {run} cannot be asked for by its id here"));
        Box::pin(std::future::ready(Err(error)))
    }
}

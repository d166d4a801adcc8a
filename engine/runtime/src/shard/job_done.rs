//! The results of a shard's own futures: reads, appends, values.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::error::LoadError;
use crate::load::FoldedRun;
use crate::values::FetchedValues;
use crate::work::spare::EffectRules;
use everfold_base::id::{AttemptId, RunId};
use everfold_store::{AppendError, Appended};

/// The result of one of the shard's own futures.
pub(crate) enum JobDone {
    Appended {
        run: RunId,
        result: Result<Appended, AppendFailure>,
    },
    Loaded {
        run: RunId,
        result: Box<Result<FoldedRun, LoadError>>,
    },
    Values {
        run: RunId,
        wanted_by: WantedBy,
        result: Result<FetchedValues, LoadError>,
    },
    EffectRules {
        run: RunId,
        wanted_by: WantedBy,
        result: Result<EffectRules, LoadError>,
    },
    /// The workspace of a run that has ended was given back; where it was, if it is gone.
    Released {
        run: RunId,
        removed: Option<String>,
    },
    /// The folders of the copies of a run's worktree.
    Copies {
        run: RunId,
        folders: HashSet<PathBuf>,
    },
    /// The job was done for its effect alone.
    NoResult,
}

impl JobDone {
    /// The run that it belongs to.
    pub(crate) fn run(&self) -> Option<RunId> {
        match self {
            Self::Appended { run, .. }
            | Self::Loaded { run, .. }
            | Self::Values { run, .. }
            | Self::EffectRules { run, .. }
            | Self::Copies { run, .. }
            | Self::Released { run, .. } => Some(*run),
            Self::NoResult => None,
        }
    }
}

/// Why an append did not happen.
pub(crate) enum AppendFailure {
    Store(AppendError),
    Blob(std::io::Error),
}

/// What resumes when a value is there, or when the state is durable.
pub(crate) enum WantedBy {
    Decision,
    Attempt(AttemptId),
    Part(everfold_core::effect::Touched),
}

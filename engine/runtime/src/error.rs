//! What can go wrong, by operation.

use crate::recovery::unknown_work::Unknown;
use everfold_base::id::{RunId, Version};
use everfold_base::json::Hash;
use everfold_core::decide::Refusal;
use everfold_core::event::CodecError;
use everfold_language::definition::{BadPipelineRef, ChildError, Problems};
use everfold_ports::CredentialError;
use everfold_store::{AppendError, ReadError};

/// Why an input was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Not in this state; nothing was recorded.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such run.
    #[error("there is no run {0}")]
    NotFound(RunId),
    /// The run is quarantined; the others go on.
    #[error("run {run} is set aside: {reason}")]
    SetAside {
        /// The run.
        run: RunId,
        /// What happened.
        reason: String,
    },
    /// Too much waits already; repeating later helps.
    #[error("too many inputs wait; repeat a little later")]
    Busy,
    /// The idempotency key was used before for something else.
    #[error("the idempotency key was used before with another body")]
    KeyReused,
    /// The disk is full; nothing was recorded, and the engine goes on by itself when there is room.
    #[error("the disk is full: nothing was recorded; the engine goes on by itself when there is room")]
    Full,
    /// The store takes no writes, or cannot be read.
    #[error("the store failed: {0}")]
    Store(String),
    /// The engine ends.
    #[error("the engine is shutting down; repeat when it is back")]
    ShuttingDown,
}

/// Why a run was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The input, or the run id, is not acceptable; nothing was recorded.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is a run of this id, started by another request.
    #[error("there is a run {0} already")]
    Exists(RunId),
    /// A step holds a resource that the settings do not name; nothing was recorded.
    #[error("step {step} needs the resource “{name}”, which the settings do not name{}", .near.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    UnknownResource {
        /// The step: `build`, `build within the step fan`.
        step: String,
        /// The resource.
        name: String,
        /// The known name that is most like it.
        near: Option<String>,
        /// Those that there are.
        known: Vec<String>,
    },
    /// It names a function or a profile that there is not; nothing was recorded.
    #[error("{0}")]
    UnknownWork(Box<Unknown>),
    /// What the request brings cannot be kept; nothing was recorded.
    #[error(transparent)]
    Credentials(CredentialError),
    /// The definition could not be kept.
    #[error(transparent)]
    Definition(DefinitionError),
    /// As for any other input.
    #[error(transparent)]
    Submit(SubmitError),
}

impl From<DefinitionError> for StartError {
    fn from(error: DefinitionError) -> Self {
        if error.is_full() { Self::Submit(SubmitError::Full) } else { Self::Definition(error) }
    }
}

impl From<ReadError> for SubmitError {
    fn from(error: ReadError) -> Self {
        if error.is_full() { Self::Full } else { Self::Store(error.to_string()) }
    }
}

/// What an input meets that needs a look at another run.
impl From<QueryError> for SubmitError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NotFound(run) => Self::NotFound(run),
            QueryError::SetAside { run, reason } => Self::SetAside { run, reason },
            QueryError::ShuttingDown => Self::ShuttingDown,
            QueryError::Full(_) => Self::Full,
            QueryError::Busy(_) => Self::Busy,
            QueryError::Store(what) => Self::Store(what),
            QueryError::Panicked(_) => Self::Store(error.to_string()),
        }
    }
}

impl StartError {
    /// Whether it was refused, so that nothing is recorded.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl From<SubmitError> for StartError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refusal) => Self::Refused(refusal),
            other => Self::Submit(other),
        }
    }
}

/// Why a run's state could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// There is no such run.
    #[error("there is no run {0}")]
    NotFound(RunId),
    /// The run cannot be folded.
    #[error("run {run} is set aside: {reason}")]
    SetAside {
        /// The run.
        run: RunId,
        /// What happened.
        reason: String,
    },
    /// The run cannot be read for want of room on the disk; the engine goes on by itself.
    #[error("the disk is full: run {0} cannot be read until there is room")]
    Full(RunId),
    /// The store could not be read.
    #[error("the store failed: {0}")]
    Store(String),
    /// The query panicked; the run goes on.
    #[error("looking at the run {0}")]
    Panicked(String),
    /// Too many queries wait for the run; try again.
    #[error("too many queries wait for run {0}; try again")]
    Busy(RunId),
    /// The engine ends.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

/// Why a history could not be folded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such run.
    #[error("there is no run {0}")]
    NotFound(RunId),
    /// The run has not come that far.
    #[error("run {run} is at version {last}, not yet at {wanted}")]
    NotYet {
        /// The run.
        run: RunId,
        /// What was asked for.
        wanted: Version,
        /// Its last version.
        last: Version,
    },
    /// An event cannot be read.
    #[error("run {run}, version {version}: {source}")]
    Event {
        /// The run.
        run: RunId,
        /// The event.
        version: Version,
        /// What was found.
        #[source]
        source: CodecError,
    },
    /// The stored history is not one that this engine can have written.
    #[error("run {run}, version {version} ({name}): {what}")]
    Illegal {
        /// The run.
        run: RunId,
        /// The event.
        version: Version,
        /// Its name.
        name: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A value that is kept beside the history cannot be read now.
    #[error("run {run}, version {version}: {what}")]
    Value {
        /// The run.
        run: RunId,
        /// The event that has the value.
        version: Version,
        /// What happened.
        what: String,
        /// The system has too little of what reading takes: handles, memory.
        is_short: bool,
    },
    /// The pauses of pipelines and of the engine cannot be read, so it is not known whether the run is paused.
    #[error("run {run}: {what}")]
    Halts {
        /// The run.
        run: RunId,
        /// What happened.
        what: String,
    },
    /// The pinned definition is missing or cannot be read.
    #[error("run {run}: {source}")]
    Definition {
        /// The run.
        run: RunId,
        /// What happened.
        #[source]
        source: DefinitionError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ReadError),
}

impl LoadError {
    /// Whether waiting for room on the disk helps.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Store(error) => error.is_full(),
            Self::Definition { source, .. } => source.is_full(),
            Self::NotFound(_)
            | Self::NotYet { .. }
            | Self::Event { .. }
            | Self::Illegal { .. }
            | Self::Value { .. }
            | Self::Halts { .. } => false,
        }
    }

    /// Whether the run waits, since reading it takes what the system has too little of: room, handles, memory.
    pub(crate) fn waits(&self) -> bool {
        self.is_full() || matches!(self, Self::Value { is_short: true, .. })
    }

    /// Whether reading it again may help: it is not the history that is wrong.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Store(error) => error.is_passing(),
            Self::Value { .. } => true,
            Self::Definition { source, .. } => source.is_passing(),
            Self::NotFound(_)
            | Self::NotYet { .. }
            | Self::Event { .. }
            | Self::Illegal { .. }
            | Self::Halts { .. } => false,
        }
    }
}

/// Why a pinned definition could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// No definition of this hash was saved.
    #[error("there is no definition {}", .0.short())]
    NotFound(Hash),
    /// The stored bytes are no definition.
    #[error("definition {} cannot be read: {what}", hash.short())]
    Unreadable {
        /// Its hash.
        hash: Hash,
        /// What was found.
        what: String,
    },
    /// The document is over the limit of an event.
    #[error("the definition is too large to keep: {0}")]
    TooLarge(String),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl DefinitionError {
    /// Whether waiting for room on the disk helps.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Read(error) => error.is_full(),
            Self::Append(error) => matches!(error, AppendError::Full),
            Self::NotFound(_) | Self::Unreadable { .. } | Self::TooLarge(_) => false,
        }
    }

    /// Whether trying again may help: it is not the definition that is wrong.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Read(error) => error.is_passing(),
            Self::Append(error) => match error {
                AppendError::Full
                | AppendError::Unknown(_)
                | AppendError::ReadOnly(_)
                | AppendError::NotOurs(_)
                | AppendError::Fenced { .. }
                | AppendError::Closed => true,
                AppendError::WrongExpectedVersion { .. }
                | AppendError::WrongPreviousHash { .. }
                | AppendError::DedupConflict
                | AppendError::TooLarge { .. }
                | AppendError::Malformed(_) => false,
            },
            Self::NotFound(_) | Self::Unreadable { .. } | Self::TooLarge(_) => false,
        }
    }
}

/// Why a pipeline of a name was not found or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// No version of that name was saved, and none comes with the program.
    #[error("there is no pipeline “{0}”")]
    NotFound(String),
    /// The name is none.
    #[error(transparent)]
    Name(#[from] BadPipelineRef),
    /// A file that the pipeline names is not with it.
    #[error("{path} is not among the files that the pipeline was read with")]
    NoFile {
        /// The file, as named.
        path: String,
    },
    /// A file that the pipeline names is no pipeline.
    #[error("{}", .0.summary())]
    Bad(Problems),
    /// The stored bytes are no version.
    #[error("the saved pipeline “{name}” cannot be read: {what}")]
    Unreadable {
        /// Its name.
        name: String,
        /// What was found.
        what: String,
    },
    /// Its definition could not be kept or read.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl PipelineError {
    /// Whether trying again may help: it is not the pipeline that is wrong.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Definition(error) => error.is_passing(),
            Self::Read(error) => error.is_passing(),
            Self::NotFound(_)
            | Self::Name(_)
            | Self::NoFile { .. }
            | Self::Bad(_)
            | Self::Unreadable { .. } => false,
        }
    }
}

impl From<ChildError> for PipelineError {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::NoFile(path) => Self::NoFile { path },
            ChildError::Bad(problems) => Self::Bad(problems),
        }
    }
}

/// Why recovery did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The store could not say what is due.
    #[error(transparent)]
    Store(#[from] ReadError),
    /// There is no such run.
    #[error("there is no run {0}")]
    NotFound(RunId),
    /// The engine ends.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

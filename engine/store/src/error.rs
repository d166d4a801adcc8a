//! What can go wrong in a store, by operation.

use std::io;
use std::path::{Path, PathBuf};

use crate::position_span::positions;
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_system::os_error::{is_disk_full, is_shortage};

/// Why an append was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another writer was first; fold again and decide again.
    #[error("{stream} is at version {actual}, not {expected}")]
    WrongExpectedVersion {
        /// The stream.
        stream: StreamId,
        /// What the writer believed.
        expected: Version,
        /// What is.
        actual: Version,
    },
    /// The versions agree and the histories do not.
    #[error("{stream} ends with event {actual}, not {expected}: the writer's history is another one")]
    WrongPreviousHash {
        /// The stream.
        stream: StreamId,
        /// What the writer believed.
        expected: Hash,
        /// What is.
        actual: Hash,
    },
    /// The idempotency key was used for something else.
    #[error("the idempotency key was used before with another body")]
    DedupConflict,
    /// A newer owner has written.
    #[error("the writer's ownership {given} is over; {seen} has written since")]
    Fenced {
        /// The writer's token.
        given: u64,
        /// The newest token seen.
        seen: u64,
    },
    /// Over [`super::APPEND_EVENTS_MAX`] or [`super::APPEND_BYTES_MAX`].
    #[error("an append of {events} events and {bytes} bytes is over the limit of 1000 events and 4 MiB")]
    TooLarge {
        /// Events in the batch.
        events: usize,
        /// Payload bytes in the batch.
        bytes: usize,
    },
    /// No event, versions with gaps, a header of another stream: the caller's mistake.
    #[error("malformed append: {0}")]
    Malformed(String),
    /// The disk is full; nothing of the batch was kept, and the store goes on when there is room.
    #[error("the disk is full: nothing was recorded; the store goes on by itself when there is room")]
    Full,
    /// The store takes no writes for now.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The folder was moved, removed or taken by another process: this store takes no writes ever again.
    #[error("the folder is not this process's any more: {0}")]
    NotOurs(String),
    /// It is not known whether the batch is durable; read the head before repeating.
    #[error("the outcome of the append is unknown: {0}")]
    Unknown(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// A place where stored bytes are not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged at byte {offset}: {what}", file = file.display())]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What was found there.
    pub what: String,
    /// The positions that are lost or in doubt, where they are known.
    pub positions: Option<(Position, Position)>,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes on disk are not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// One event's record is not what was written; the other streams are not concerned.
    #[error("{stream} is damaged at version {version}: {what}")]
    DamagedStream {
        /// The stream.
        stream: StreamId,
        /// The event.
        version: Version,
        /// What was found.
        what: String,
    },
    /// An event is not what its stream's hash chain says, although its bytes pass their checksums; the other streams are not
    /// concerned.
    #[error("{stream} was altered: event {version} is not linked to the event before it")]
    Unlinked {
        /// The stream.
        stream: StreamId,
        /// The event.
        version: Version,
    },
    /// The operating system failed.
    #[error("could not read {path}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// What reading goes by (`store.json`, the index's folder) could not be written.
    #[error("could not write {path}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The index failed.
    #[error("the index failed: {0}")]
    Index(String),
    /// Another process has the index open: it is neither read nor built again.
    #[error("the index is in use by another process: {0}")]
    IndexInUse(String),
    /// The disk is full, and what is asked for is in an index that cannot be rebuilt until there is
    /// room. Nothing is lost; the store goes on by itself then.
    #[error("the disk is full: the index cannot be mended until there is room")]
    Full,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl ReadError {
    /// Whether waiting helps: for room on the disk, or for what else the system has too little of.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full => true,
            Self::Io { source, .. } | Self::Write { source, .. } => is_shortage(source),
            Self::Damaged(_)
            | Self::DamagedStream { .. }
            | Self::Unlinked { .. }
            | Self::Index(_)
            | Self::IndexInUse(_)
            | Self::Closed => false,
        }
    }

    /// Whether reading it again may help: it is not what is stored that is wrong.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Full
            | Self::Io { .. }
            | Self::Write { .. }
            | Self::Index(_)
            | Self::IndexInUse(_)
            | Self::Closed => true,
            Self::Damaged(_) | Self::DamagedStream { .. } | Self::Unlinked { .. } => false,
        }
    }
}

fn process(pid: u32) -> String {
    match pid {
        0 => "another process".to_owned(),
        // Processes of two containers may have one number.
        pid if pid == std::process::id() => {
            format!("process {pid}, which is this one or one of another container")
        }
        pid => format!("process {pid}"),
    }
}

/// Why a store could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process owns it.
    #[error("the store is in use by {}", process(*.pid))]
    InUse {
        /// The owner, 0 where it is unknown.
        pid: u32,
    },
    /// The journal is damaged in a way that recovery must not pass over.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The journal lacks events that were acknowledged.
    #[error("the journal in {folder} lacks {}: {what}", positions(*.first, *.last), folder = folder.display())]
    Missing {
        /// The journal's folder.
        folder: PathBuf,
        /// The first one missing.
        first: Position,
        /// The last one missing.
        last: Position,
        /// How that is known.
        what: String,
    },
    /// The folder holds something else.
    #[error("{folder} is not an Everfold data folder: it holds {found}", folder = folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// A file that does not belong there.
        found: String,
    },
    /// What is left of a data folder holds no event.
    #[error(
        "{folder} holds {found} of a data folder, and neither journal, sled (the index) nor store.json that could be read: no event is left in it",
        folder = folder.display()
    )]
    Gone {
        /// The folder.
        folder: PathBuf,
        /// A file or folder that is there still.
        found: String,
    },
    /// A newer Everfold wrote it.
    #[error("the store in {folder} has format {found}; this everfold reads up to {known}", folder = folder.display())]
    TooNew {
        /// The folder.
        folder: PathBuf,
        /// The store's format.
        found: u32,
        /// The newest known format.
        known: u32,
    },
    /// It may be a copy, and a file in it that is written in place is the file of another folder, too.
    #[error("{path} has another name, too, as after a copy by hard links: two folders would write to one file", path = path.display())]
    Shared {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("could not open {path}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The disk has no room for what opening writes.
    #[error("the disk is full: there is no room to open {path}", path = path.display())]
    Full {
        /// What could not be written.
        path: PathBuf,
    },
    /// The index could not be opened, not even rebuilt.
    #[error("the index could not be built: {0}")]
    Index(String),
}

impl OpenError {
    /// What the system refused at `path`, as a reason not to open.
    pub(crate) fn from_io(path: PathBuf, source: io::Error) -> Self {
        if is_disk_full(&source) { Self::Full { path } } else { Self::Io { path, source } }
    }

    /// The same for a closure of `map_err`.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::from_io(path, source)
    }

    /// What could not be read, as a reason not to open; `index` is where the index was to be written.
    pub(crate) fn from_read(index: &Path, error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => Self::Damaged(damage),
            ReadError::Io { path, source } | ReadError::Write { path, source } => Self::from_io(path, source),
            ReadError::Full => Self::Full { path: index.to_owned() },
            other => Self::Index(other.to_string()),
        }
    }

    /// What could not be read of the journal, as a reason not to open.
    pub(crate) fn from_journal(error: ReadError) -> Self {
        match error {
            ReadError::Io { path, source } | ReadError::Write { path, source } => Self::Io { path, source },
            ReadError::Damaged(damage) => Self::Damaged(damage),
            other => Self::Index(other.to_string()),
        }
    }
}

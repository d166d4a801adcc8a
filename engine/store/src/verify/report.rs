//! What a verification found.

use std::path::PathBuf;

use crate::error::Damage;
use crate::position_span::positions_are;
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, RunId, Version};
use everfold_base::json::Hash;

/// Faults that a report lists; more are counted.
const FAULTS_MAX: usize = 1_000;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyFault {
    /// The journal is damaged.
    #[error("{0}{lost}", lost = lost(&.0.positions))]
    Journal(Damage),
    /// The journal's folder is missing.
    #[error("{folder}: {what}", folder = folder.display())]
    NoJournal {
        /// The folder.
        folder: PathBuf,
        /// What can be done.
        what: String,
    },
    /// Events that were durable are not there.
    #[error("{} missing: {what}", positions_are(*.first, *.last))]
    Missing {
        /// The first one.
        first: Position,
        /// The last one.
        last: Position,
        /// How that is known.
        what: String,
    },
    /// An event does not follow the one before it, or its payload or header was changed.
    #[error("{stream} at version {version} (position {position}): {what}")]
    Event {
        /// The stream.
        stream: StreamId,
        /// The event.
        version: Version,
        /// Its position.
        position: Position,
        /// What is wrong.
        what: String,
    },
    /// The index does not say what the journal says; it can be built again.
    #[error("the index: {what}")]
    Index {
        /// What is wrong.
        what: String,
    },
    /// The index could not be looked at, which says nothing of it.
    #[error("the index: {what}")]
    IndexUncompared {
        /// What is wrong.
        what: String,
    },
    /// A snapshot is not what the events say; it is not needed.
    #[error("the snapshot of {stream}: {what}")]
    Snapshot {
        /// The stream.
        stream: StreamId,
        /// What is wrong.
        what: String,
    },
    /// A blob is missing or not what its name says.
    #[error("{what}")]
    Blob {
        /// The run.
        run: RunId,
        /// The blob.
        hash: Hash,
        /// What is wrong.
        what: String,
    },
    /// A folder of blobs cannot be read: those in it that no event names went unchecked.
    #[error("{what}")]
    BlobFolder {
        /// What happened.
        what: String,
    },
    /// A file that is written in place is one of another folder, too: no start takes such a copy.
    #[error("{what}")]
    Shared {
        /// What is wrong.
        what: String,
    },
    /// The store's own description is damaged.
    #[error("{file}: {what}", file = file.display())]
    Description {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl VerifyFault {
    /// Whether it is of what a start or a repair makes anew from the journal.
    #[must_use]
    pub fn is_of_remakable(&self) -> bool {
        matches!(self, Self::Index { .. } | Self::Snapshot { .. } | Self::Description { .. })
    }
}

fn lost(positions: &Option<(Position, Position)>) -> String {
    match positions {
        Some((first, last)) if first == last => format!("; position {first} is lost or in doubt"),
        Some((first, last)) => format!("; {} lost", positions_are(*first, *last)),
        None => String::new(),
    }
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Groups of the journal.
    pub groups: u64,
    /// Events of the journal.
    pub events: u64,
    /// Streams.
    pub streams: u64,
    /// Blobs.
    pub blobs: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// What is wrong, the first 1,000.
    pub faults: Vec<VerifyFault>,
    /// How many more are wrong.
    pub more_faults: u64,
    /// What is not wrong and worth saying: an unfinished write at the end.
    pub notes: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn fault(&mut self, fault: VerifyFault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        } else {
            self.more_faults += 1;
        }
    }
}

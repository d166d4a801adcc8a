//! The events of one append, with the inputs that led to them.

use crate::messages::{Query, Queued};
use everfold_base::envelope::NewEvent;
use everfold_base::id::Version;
use everfold_base::json::{BlobRef, Hash, JsonText};
use everfold_core::decide::Refusal;
use everfold_store::Dedup;

/// The events of one append, with the inputs that led to them.
pub(crate) struct AppendBatch {
    pub(crate) expected: Version,
    pub(crate) previous: Hash,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) bytes: usize,
    pub(crate) blobs: Vec<(BlobRef, JsonText)>,
    pub(crate) dedup: Option<Dedup>,
    pub(crate) decided: Vec<DecidedItem>,
    /// It holds the event after which the process aborts itself ([`crash_after`](crate::EngineConfig::crash_after)).
    pub(crate) is_crash_point: bool,
}

/// A decided item, with the answer that is due.
pub(crate) enum DecidedItem {
    /// Events were recorded; `last` is the version of the last one.
    Changed {
        queued: Box<Queued>,
        last: u64,
    },
    Unchanged(Box<Queued>),
    Refused(Box<Queued>, Refusal),
    Query(Query),
}

//! The events of one append, with the inputs that led to them.

use crate::messages::{Look, Queued};
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
    pub(crate) decided: Vec<Decided>,
    /// It holds the event after which the process is to kill itself.
    pub(crate) is_crash_point: bool,
}

/// An item that was taken up, with the answer that it waits for.
pub(crate) enum Decided {
    Changed { queued: Box<Queued>, last: u64 },
    Unchanged(Box<Queued>),
    Refused(Box<Queued>, Refusal),
    Looked(Look),
}

//! A notice that an event of the batch called for: rendered on the state right after its event, recorded last.

use everfold_base::id::Version;
use everfold_base::json::JsonText;

/// A notice of an event of this batch.
pub(super) struct DueNotice {
    pub(super) version: Version,
    /// Its place among the pipeline's.
    pub(super) at: usize,
    pub(super) said: Result<Said, String>,
}

/// What a notice says, and where.
pub(super) struct Said {
    pub(super) channel: String,
    pub(super) with: JsonText,
    /// Which parameters its fallback gave, and why.
    pub(super) fallback: Option<String>,
}

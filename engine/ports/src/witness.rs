//! The port that counts which work was in progress when engines aborted.
//!
//! Law: a query is quick, and notes that the work is in progress again.

use std::path::Path;

/// After so many aborts in a row the work that was in progress is taken for their cause.
pub const ENDS_MAX: u32 = 3;

/// Counts how often in a row the engine aborted with the same work in progress.
pub trait Witness: Send + Sync + 'static {
    /// An attempt or a probe that a former engine left is about to be taken up again: how many engines in a row,
    /// up to the last one, aborted while it was outstanding. The call notes that it is in progress again.
    fn ends_with(&self, folder: &Path) -> u32;
}

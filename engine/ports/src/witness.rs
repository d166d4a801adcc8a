//! The port that counts which work was in hand when engines aborted.
//!
//! Law: asking is quick, and notes that the work is in hand again.

use std::path::Path;

/// After so many ends in a row it is believed that what was in hand brought them about.
pub const ENDS_MAX: u32 = 3;

/// Counts how often the engine ended by itself, in a row, with the same work in hand.
pub trait Witness: Send + Sync + 'static {
    /// An attempt or a probe that a former engine left is about to be taken up again: how many engines in a row,
    /// up to the last one, aborted while it was outstanding. It is noted that it is in hand again. Must be quick.
    fn ends_with(&self, folder: &Path) -> u32;
}

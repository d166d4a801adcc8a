//! What every page works on.

use crate::live_hub::LiveHub;
use crate::rest::Rest;

/// What every page works on.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    /// The routes that all pages ask.
    pub(crate) rest: Rest,
    /// What open pages hear of changes.
    pub(crate) live: LiveHub,
}

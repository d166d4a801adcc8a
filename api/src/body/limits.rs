//! Body of `/engine/limits`.

use everfold_engine::breaker_resets::Reset;
use everfold_engine::driver::LineView;
use serde::{Deserialize, Serialize};

/// How the line stands, and which breakers people closed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LimitsAnswer {
    #[serde(flatten)]
    pub(crate) line: LineView,
    /// The newest resets, newest first.
    #[serde(default)]
    pub(crate) resets: Vec<Reset>,
}

//! Body of `/engine/limits`.

use everfold_engine::breaker_resets::Reset;
use everfold_engine::driver::LineView;
use serde::{Deserialize, Serialize};

/// The slots of a `concurrency` key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct SlotsView {
    /// The key, as it was computed.
    pub(crate) key: String,
    /// How many slots there are.
    pub(crate) limit: u32,
    /// How many runs hold one.
    pub(crate) in_use: usize,
    /// How many runs wait for one; a run that waits for several keys counts at each.
    pub(crate) waiting: usize,
}

/// How the line stands, and which breakers people closed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LimitsAnswer {
    #[serde(flatten)]
    pub(crate) line: LineView,
    /// The slots of `concurrency` that runs hold or wait for.
    #[serde(default)]
    pub(crate) slots: Vec<SlotsView>,
    /// The newest resets, newest first.
    #[serde(default)]
    pub(crate) resets: Vec<Reset>,
}

//! What was used up together.

use serde::Deserialize;

/// What was used up together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SpendGroup {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) cost_usd: String,
    pub(crate) input_tokens: u64,
    pub(crate) cached_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) reports: u64,
}

//! Amounts of a budget, as REST has them.

use serde::Deserialize;

/// Money, tokens and time; none where nothing is said of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BudgetAmounts {
    pub(crate) cost_usd: Option<String>,
    pub(crate) tokens: Option<u64>,
    pub(crate) wall_ms: Option<u64>,
}

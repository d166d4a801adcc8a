//! How many runs there are, and what they need.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What stands above the columns: how many runs there are, and what they need.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    pub(crate) total: u64,
    pub(crate) by_status: BTreeMap<String, u64>,
    pub(crate) open_tasks: u64,
}

impl Counts {
    /// How many have a status.
    pub(crate) fn of(&self, status: &str) -> u64 {
        self.by_status.get(status).copied().unwrap_or_default()
    }
}

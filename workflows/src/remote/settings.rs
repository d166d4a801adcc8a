//! Functions that workers do: `[workers]`.

use std::collections::BTreeMap;
use std::time::Duration;

use everfold_base::duration;
use everfold_base::json::Value;
use serde::Deserialize;

/// How workers work.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// How long a worker holds an attempt without a heartbeat.
    pub lease: String,
    /// What they do, by name.
    pub functions: BTreeMap<String, RemoteSettings>,
}

/// A function that workers do.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct RemoteSettings {
    /// What it does, in one sentence.
    pub summary: String,
    /// Doing it again with the same idempotency key does no harm.
    pub idempotent: bool,
    /// It costs money.
    pub paid: bool,
    /// It is given the run's context.
    #[serde(rename = "told")]
    pub reads_context: bool,
    /// JSON Schema of its `with`.
    pub input: Option<Value>,
    /// JSON Schema of what it gives.
    pub output: Option<Value>,
    /// What is no key.
    #[serde(flatten)]
    pub(super) unknown: BTreeMap<String, Value>,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { lease: "30s".to_owned(), functions: BTreeMap::new() }
    }
}

impl WorkerSettings {
    /// How long a worker holds an attempt without a heartbeat.
    #[must_use]
    pub fn lease(&self) -> Duration {
        // Settings that were read have been checked.
        duration::parse(&self.lease).unwrap_or(Duration::from_secs(30))
    }
}

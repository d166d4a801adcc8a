//! Functions that workers do: `[workers]`.

use std::collections::BTreeMap;
use std::time::Duration;

use everfold_engine::duration;
use everfold_engine::json::Value;
use serde::Deserialize;

use crate::function::{Function, Functions};

/// The shortest lease: a worker must be able to be heard of in time.
const LEASE_MIN: Duration = Duration::from_secs(1);
/// The longest: so long is work lost that nobody does.
const LEASE_MAX: Duration = Duration::from_secs(60 * 60);
/// Names of the program's own.
const OWN: [&str; 3] = ["everfold.", "git.", "notify."];

/// How workers work.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// How long a worker holds an attempt without being heard of.
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
    /// It is given what the run tells.
    pub told: bool,
    /// JSON Schema of its `with`.
    pub input: Option<Value>,
    /// JSON Schema of what it gives.
    pub output: Option<Value>,
    /// What is no key.
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { lease: "30s".to_owned(), functions: BTreeMap::new() }
    }
}

impl WorkerSettings {
    /// How long a worker holds an attempt without being heard of.
    #[must_use]
    pub fn lease(&self) -> Duration {
        // Settings that were read have been checked.
        duration::parse(&self.lease).unwrap_or(Duration::from_secs(30))
    }

    /// The functions.
    pub(crate) fn functions(&self) -> impl Iterator<Item = Function> {
        self.functions.iter().map(|(name, it)| {
            let schema = |schema: &Option<Value>| schema.clone().unwrap_or(Value::Bool(true));
            let function = Function::remote(name).summary(&it.summary);
            let function = function.schemas(schema(&it.input), schema(&it.output));
            let function = if it.idempotent { function.idempotent() } else { function };
            let function = if it.paid { function.paid() } else { function };
            if it.told { function.told() } else { function }
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let lease = duration::parse(&self.lease).map_err(|error| format!("lease: {error}"))?;
        if !(LEASE_MIN..=LEASE_MAX).contains(&lease) {
            return Err(format!("lease: {} is not between 1s and 1h", self.lease));
        }
        for (name, function) in &self.functions {
            if let Some(unknown) = function.unknown.keys().next() {
                let keys = "summary, idempotent, paid, told, input, output";
                return Err(format!(
                    "functions.{name}: unknown field `{unknown}`, expected {keys}; \
                     a name with dots stands in quotes: write [workers.functions.\"a.b\"]"
                ));
            }
            if OWN.iter().any(|own| name.starts_with(own)) {
                return Err(format!("functions.{name}: there is a function {name} already"));
            }
        }
        let mut functions = Functions::default();
        for function in self.functions() {
            let name = function.name().to_owned();
            functions.register(function).map_err(|error| format!("functions.{name}: {error}"))?;
        }
        Ok(())
    }
}

//! The functions that the settings leave to workers.

use std::time::Duration;

use everfold_base::duration;
use everfold_base::json::Value;

use super::settings::WorkerSettings;
use crate::function::{Function, Functions};

/// The shortest lease: heartbeats must arrive in time.
const LEASE_MIN: Duration = Duration::from_secs(1);
/// The longest: an attempt of a worker that vanished is lost only after it.
const LEASE_MAX: Duration = Duration::from_secs(60 * 60);
/// Names of the program's own.
const OWN: [&str; 6] = ["everfold.", "git.", "gitea.", "notify.", "plane.", "telegram."];

impl WorkerSettings {
    /// The functions.
    pub(crate) fn functions(&self) -> impl Iterator<Item = Function> {
        self.functions.iter().map(|(name, it)| {
            let schema = |schema: &Option<Value>| schema.clone().unwrap_or(Value::Bool(true));
            let function = Function::remote(name).summary(&it.summary);
            let function = function.schemas(schema(&it.input), schema(&it.output));
            let function = if it.idempotent { function.idempotent() } else { function };
            let function = if it.paid { function.paid() } else { function };
            if it.reads_context { function.reads_context() } else { function }
        })
    }

    /// Whether they can be used.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn check(&self) -> Result<(), String> {
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

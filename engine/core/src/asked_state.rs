//! The state of a run for expressions that are asked of it from outside: the names that pipelines have, and those of rows
//! of runs.
//!
//! Law: each value follows from the state alone; `now` is the moment of its last event.

use everfold_base::json::Value;
use everfold_language::expr::{EvalError, Loaded, Scope};
use serde_json::json;

use crate::decide::scope::RunScope;
use crate::state::RunState;

/// A state that expressions are asked of. A name that it does not have is null.
pub struct AskedState<'a> {
    state: &'a RunState,
    scope: RunScope<'a>,
}

impl<'a> AskedState<'a> {
    /// The state; `loaded` holds values that it keeps by reference, as far as they were asked for.
    #[must_use]
    pub fn new(state: &'a RunState, loaded: &'a Loaded) -> Self {
        Self { state, scope: RunScope::run(state, loaded) }
    }

    /// A name of rows, by its first part.
    fn of_row(&self, name: &str) -> Option<Value> {
        let state = self.state;
        Some(match name {
            "now" | "updated_at" => json!(state.last_at()),
            "version" => json!(state.version()),
            "id" => json!(state.run()),
            "short_id" => json!(state.run().map(|run| run.short())),
            "pipeline" => json!(state.pipeline()),
            "number" => json!(state.number().map(|number| number.number)),
            "title" => json!(state.title()),
            "status" => json!(state.status().as_str()),
            "labels" => json!(state.labels()),
            "search" => state.search().iter().map(|(name, value)| (name.clone(), value.json())).collect(),
            "started_by" => json!(state.started().map(|(by, _)| by.to_string())),
            "started_at" => json!(state.started().map(|(_, at)| at)),
            "ended_at" => json!(state.ended_at()),
            "elapsed" => {
                let end = state.ended_at().unwrap_or(state.last_at());
                json!(state.started().map(|(_, at)| format!("{}ms", end.since(at).as_millis())))
            }
            "cost" => json!(state.usage().cost_micros as f64 / 1e6),
            "usage" => json!({
                "input_tokens": state.usage().input_tokens, "output_tokens": state.usage().output_tokens,
            }),
            "failure" => state.failure().map_or(Value::Null, |(failure, path)| {
                json!({
                    "kind": failure.kind, "code": failure.code, "message": failure.message,
                    "exit_code": failure.exit_code, "step": path.map(|path| path.step.to_string()),
                })
            }),
            "paused" => json!(state.is_paused()),
            _of_pipelines => return None,
        })
    }
}

impl Scope for AskedState<'_> {
    fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
        if let [name] = path
            && let Some(value) = self.of_row(name)
        {
            return Ok(Some(value));
        }
        Ok(Some(self.scope.get(path)?.unwrap_or_default()))
    }
}

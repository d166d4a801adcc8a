//! Work that workers do, and the functions that there are.

use std::sync::Arc;

use everfold_engine::definition::{Definition, Task, Work};
use everfold_workflows::function::Functions;
use everfold_workflows::remote::{Book, RemoteView, WorkerView};
use serde::{Deserialize, Serialize};

use super::Owner;
use crate::fault::{Code, Fault};

/// Who works for this engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkersAnswer {
    /// The workers.
    pub items: Vec<WorkerView>,
    /// The functions that workers do.
    pub functions: Vec<RemoteView>,
    /// There is no more.
    pub next_cursor: Option<String>,
}

impl Owner {
    /// The work that workers fetch.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Every function that pipelines may name.
    #[must_use]
    pub fn functions(&self) -> &Arc<Functions> {
        &self.functions
    }

    /// Who polls, what they hold, and what waits for them.
    pub async fn workers(&self) -> WorkersAnswer {
        let names = self.functions.names().into_iter().filter(|name| self.functions.is_remote(name));
        let summary = |name: &str| self.functions.about(name).map_or("", |about| about.summary.as_str());
        let functions = names.map(|name| self.book.function(name, summary(name))).collect();
        WorkersAnswer { items: self.book.workers().await, functions, next_cursor: None }
    }

    /// That there is every function that the steps of a pipeline name.
    ///
    /// # Errors
    /// [`Code::NoFunction`], with each that there is not and the nearest that there is.
    pub fn knows_functions(&self, definition: &Definition) -> Result<(), Fault> {
        let mut unknown = Vec::new();
        for step in definition.steps.iter().chain(&definition.on_finish) {
            let Some(Work::Task(task)) = &step.work else { continue };
            if task.kind != Task::FUNCTION {
                continue;
            }
            // One that is made of `${…}` is known when the step begins.
            let Some(name) = task.spec.source()["name"].as_str().filter(|name| !name.contains("${")) else {
                continue;
            };
            if let Err(failure) = self.functions.known(name) {
                unknown.push((step.id.to_string(), failure));
            }
        }
        let Some((step, first)) = unknown.first() else { return Ok(()) };
        let message = format!("{}: the step {step}: {}", definition.name, first.message);
        let errors = unknown.iter().map(|(step, failure)| {
            serde_json::json!({ "step": step, "message": failure.message, "hint": failure.hint() })
        });
        Err(Fault::new(Code::NoFunction, message)
            .errors(errors.collect())
            .hint("one that workers do is named in everfold.toml: [workers.functions.\"NAME\"]"))
    }
}

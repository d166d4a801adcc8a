//! Workers and the functions that pipelines may name.

use std::sync::Arc;

use everfold_engine::definition::Definition;
use everfold_engine::driver::Unknown;
use everfold_workflows::agent::PreflightFindings;
use everfold_workflows::function::Functions;
use everfold_workflows::remote::{LeaseTable, RemoteView, WorkerView};
use serde::{Deserialize, Serialize};

use super::handle::Node;
use crate::fault::{Code, Fault};
use crate::schema;
use crate::work_sources::WorkSources;

/// Who works for this engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkersAnswer {
    /// The workers.
    #[schema(value_type = Vec<schema::WorkerViewSchema>)]
    pub items: Vec<WorkerView>,
    /// The functions that workers do.
    #[schema(value_type = Vec<schema::RemoteViewSchema>)]
    pub functions: Vec<RemoteView>,
    /// There is no more.
    pub next_cursor: Option<String>,
}

impl Node {
    /// The table of leases: the work that workers fetch and hold.
    #[must_use]
    pub fn book(&self) -> &LeaseTable {
        &self.sources.book
    }

    /// What preflights of agents found, and which attempts wait for it.
    #[must_use]
    pub fn preflights(&self) -> &PreflightFindings {
        &self.sources.preflights
    }

    /// Every function that pipelines may name.
    #[must_use]
    pub fn functions(&self) -> &Arc<Functions> {
        &self.sources.functions
    }

    /// The workers that poll, the attempts that they hold, and those that wait for them.
    pub async fn workers(&self) -> WorkersAnswer {
        let WorkSources { functions, book, .. } = &self.sources;
        let names = functions.names().into_iter().filter(|name| functions.is_remote(name));
        let summary = |name: &str| functions.about(name).map_or("", |about| about.summary.as_str());
        let functions = names.map(|name| book.function(name, summary(name))).collect();
        WorkersAnswer { items: book.workers().await, functions, next_cursor: None }
    }

    /// Checks that every function and every agent profile that steps and gates of a pipeline name exists.
    ///
    /// # Errors
    /// [`Code::NoFunction`], with each missing name and the nearest known one.
    pub fn knows_work(&self, definition: &Definition) -> Result<(), Fault> {
        let unknown = self.engine().unknown_work(definition);
        let Some(first) = unknown.first() else { return Ok(()) };
        let message = format!("{}: {first}", definition.name);
        let hint = first.failure.hint.clone();
        Err(Fault::new(Code::NoFunction, message)
            .errors(unknown.iter().map(unknown_view).collect())
            .hinted(hint))
    }
}

/// A missing function or profile, as a single fault of a problem document.
pub(crate) fn unknown_view(unknown: &Unknown) -> serde_json::Value {
    let Unknown { place, failure } = unknown;
    serde_json::json!({ "place": place, "message": failure.message, "hint": failure.hint() })
}

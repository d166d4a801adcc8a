//! Names that fields of these pages complete.

use serde::Deserialize;

use super::decision::Decision;
use crate::frame::Visit;
use crate::problem::Problem;

/// Names that fields complete.
#[derive(Debug, Clone, Default)]
pub(super) struct AuditNames {
    pub(super) gates: Vec<String>,
    pub(super) pipelines: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct PipelineNames {
    items: Vec<PipelineName>,
}

#[derive(Debug, Deserialize)]
struct PipelineName {
    name: String,
}

/// The names of gates that decided lately, and of pipelines.
pub(super) async fn names(visit: &Visit, decided: &[Decision]) -> AuditNames {
    let mut gates: Vec<String> = decided.iter().filter_map(|item| item.gate.clone()).collect();
    gates.sort();
    gates.dedup();
    let pipelines: Result<PipelineNames, Problem> = visit.rest.get("/pipelines").await;
    let pipelines =
        pipelines.map(|page| page.items.into_iter().map(|item| item.name).collect()).unwrap_or_default();
    AuditNames { gates, pipelines }
}

//! Names that fields of these pages complete.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::decision::Decision;
use crate::frame::Visit;
use crate::problem::Problem;

/// Names that fields complete.
#[derive(Debug, Clone, Default)]
pub(super) struct AuditNames {
    pub(super) gates: Vec<String>,
    pub(super) pipelines: Vec<String>,
    pub(super) actors: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct PipelineNames {
    items: Vec<PipelineName>,
}

#[derive(Debug, Deserialize)]
struct PipelineName {
    name: String,
}

/// The names of gates and actors that decided lately, and of pipelines.
pub(super) async fn names(visit: &Visit, decided: &[Decision]) -> AuditNames {
    let gates = sorted(decided.iter().filter_map(|item| item.gate.clone()));
    let actors = sorted(decided.iter().map(|item| crate::words::actor(&item.actor).to_owned()));
    let pipelines: Result<PipelineNames, Problem> = visit.rest.get("/pipelines").await;
    let pipelines =
        pipelines.map(|page| page.items.into_iter().map(|item| item.name).collect()).unwrap_or_default();
    AuditNames { gates, pipelines, actors }
}

/// Each of them once, in their order.
fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    names.collect::<BTreeSet<String>>().into_iter().collect()
}

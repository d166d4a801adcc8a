//! The pipelines with their steps, as the list of pipelines has them.

use serde::Deserialize;

use crate::frame::Visit;
use crate::problem::Problem;

/// A step of a pipeline, as the list of pipelines has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StepOfPipeline {
    pub(crate) id: String,
    pub(crate) needs: Vec<String>,
    pub(crate) stage: Option<String>,
}

/// A pipeline, as the list of pipelines has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PipelineSteps {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) steps: Vec<StepOfPipeline>,
}

/// The list of pipelines.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PipelineList {
    pub(crate) items: Vec<PipelineSteps>,
}

/// The pipelines, for bars and for the filter's field; a board without them has no bars.
pub(crate) async fn pipelines(visit: &Visit) -> Vec<PipelineSteps> {
    let list: Result<PipelineList, Problem> = visit.rest.get("/pipelines").await;
    list.map(|list| list.items).unwrap_or_default()
}

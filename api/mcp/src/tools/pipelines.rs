//! Tools about pipelines: the list, and one with the schema of its input.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::answer::{ToolAnswer, picked};
use crate::call::ToolCall;
use crate::problem::RestProblem;
use crate::rest::encoded;
use crate::tool::{RunTool, ToolEffect, ToolRole};

/// Tools about pipelines.
pub(crate) fn tools() -> Vec<RunTool> {
    vec![
        RunTool::new(
            ("list_pipelines", "List pipelines", "The pipelines that may be started, by name."),
            ToolRole::Viewer,
            ToolEffect::Reads,
            list,
        ),
        RunTool::new(
            (
                "show_pipeline",
                "Show a pipeline",
                "A pipeline with the JSON Schema of its input and its steps. Look here before start_run.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            show,
        ),
    ]
}

/// The arguments of `list_pipelines`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineListInput {
    /// true: each with the schema of its input and its steps.
    full: Option<bool>,
}

/// Lists pipelines.
pub(crate) async fn list(call: ToolCall, input: PipelineListInput) -> Result<ToolAnswer, RestProblem> {
    let page = call.rest.get("/pipelines").await?;
    Ok(ToolAnswer::list(&page, input.full.unwrap_or(false), |pipeline| {
        let mut shown = picked(pipeline, &["name", "description", "origin", "version"]);
        let needs = pipeline["input"]["required"].clone();
        shown["input_needs"] = needs;
        shown["steps"] = json!(pipeline["steps"].as_array().map_or(0, Vec::len));
        shown
    }))
}

/// The arguments of `show_pipeline`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowPipelineInput {
    /// Its name; `NAME@N` for a version.
    name: String,
    /// true: its text, too.
    full: Option<bool>,
}

/// Shows a pipeline.
pub(crate) async fn show(call: ToolCall, input: ShowPipelineInput) -> Result<ToolAnswer, RestProblem> {
    let full = input.full.unwrap_or(false);
    let pipeline = call.rest.get(&format!("/pipelines/{}", encoded(&input.name))).await?;
    let mut fields = vec!["name", "description", "origin", "version", "hash", "input", "steps"];
    if full {
        fields.push("text");
    }
    Ok(ToolAnswer::sized(picked(&pipeline, &fields), full))
}

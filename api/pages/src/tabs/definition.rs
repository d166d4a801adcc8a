//! `/runs/{run}/definition`: what the run is pinned to: its definition, input, settings, workspace.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::code::{CodeLine, lines};
use crate::frame::{Frame, Visit};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::{RunHead, RunTab};
use crate::visible::visible;
use crate::words::{self, encoded};

#[derive(Template)]
#[template(path = "tabs/definition.html")]
struct DefinitionPage {
    frame: Frame,
    head: RunHead,
    hash: String,
    /// The number of the saved version that it is, and the text that it was saved as.
    saved: Option<(Option<u64>, Vec<CodeLine>)>,
    document: Vec<CodeLine>,
    input: Option<String>,
    output: Option<String>,
    /// Names with values: where it works, with which settings.
    facts: Vec<(&'static str, String)>,
    labels: Vec<(String, String)>,
}

/// `GET /runs/{run}/definition`.
pub(crate) async fn page(visit: Visit, Path(run): Path<String>) -> Result<Response, Problem> {
    let head = RunHead::load(&visit, &run, RunTab::Definition).await?;
    let document: Value = visit.rest.get(&format!("/runs/{}/definition", head.facts.id)).await?;
    let view = &head.view;
    let hash = view["definition"].as_str().unwrap_or_default().to_owned();
    // A definition that came along with the start is saved nowhere.
    let name = format!("/pipelines/{}@{hash}", encoded(&head.facts.pipeline));
    let saved: Option<Value> = if hash.is_empty() { None } else { visit.rest.get(&name).await.ok() };
    let saved = saved.and_then(|saved| {
        let number = saved["n"].as_u64().or_else(|| saved["version"].as_u64());
        Some((number, lines(saved["text"].as_str()?)))
    });
    let some = |value: &Value| (!value.is_null()).then(|| visible(&words::json(value)).into_owned());
    let text = |value: &Value| value.as_str().map(|text| visible(text).into_owned());
    let workspace = &view["workspace"];
    let facts = [
        ("started in", text(&view["cwd"])),
        (
            if view["workspace_removed"] == true { "workspace, removed" } else { "workspace" },
            text(&workspace["path"]),
        ),
        ("repository", text(&workspace["repository"])),
        ("branch", text(&workspace["branch"])),
        ("from", text(&workspace["base"])),
        ("commit", text(&workspace["commit"])),
        ("newest commit", text(&view["commit"])),
        ("number", view["number"].as_u64().map(|number| number.to_string())),
        ("priority", view["priority"].as_i64().map(|priority| priority.to_string())),
        ("config", some(&view["config"])),
    ];
    let facts = facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let labels = view["labels"].as_object().into_iter().flatten();
    let labels = labels.map(|(name, value)| (name.clone(), words::json(value))).collect();
    let (input, output) = (some(&view["input"]), some(&view["output"]));
    let document = lines(&words::json(&document));
    let frame = head.frame(&visit);
    Ok(Html(DefinitionPage { frame, head, hash, saved, document, input, output, facts, labels })
        .into_response())
}

impl DefinitionPage {
    fn pipeline_path(&self) -> String {
        format!("/pipelines/{}?version={}", encoded(&self.head.facts.pipeline), self.hash)
    }
}

//! Resources: runs, logs and pipelines as a client attaches them, and the pages that say how to write expressions and
//! pipelines.

use percent_encoding::percent_decode_str;
use rmcp::model::{Resource, ResourceContents, ResourceTemplate};
use serde_json::Value;

use crate::answer::{FULL_BYTES, ToolAnswer};
use crate::problem::RestProblem;
use crate::rest::{RestCaller, encoded, with_query};

const SCHEME: &str = "everfold://";

/// The pages: path, name, description, text.
const PAGES: [(&str, &str, &str, &str); 2] = [
    (
        "docs/expressions",
        "Asking by expression",
        "The fields and functions of `filter`, with examples",
        include_str!("../../../docs/reference/read-models.md"),
    ),
    (
        "docs/pipelines",
        "The pipeline language",
        "How a pipeline file is written",
        include_str!("../../../docs/reference/pipeline.md"),
    ),
];

/// Lines of a log that a resource shows.
const LOG_LINES: u32 = 1_000;

/// The resources that are always there.
pub(crate) fn listed() -> Vec<Resource> {
    let page = |(path, name, description, _): &(&str, &str, &str, &str)| {
        Resource::new(format!("{SCHEME}{path}"), *name)
            .with_description(*description)
            .with_mime_type("text/markdown")
    };
    PAGES.iter().map(page).collect()
}

/// How runs, logs and pipelines are named.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = |path: &str, name: &str, description: &str, kind: &str| {
        ResourceTemplate::new(format!("{SCHEME}{path}"), name)
            .with_description(description)
            .with_mime_type(kind)
    };
    vec![
        template("runs/{run}", "Run", "A run as it is, with all its fields", "application/json"),
        template(
            "runs/{run}/logs/{step}",
            "Log of a step",
            "The last lines that its work wrote",
            "text/plain",
        ),
        template("pipelines/{name}", "Pipeline", "The text of a pipeline", "application/yaml"),
    ]
}

/// Reads a resource.
pub(crate) async fn read(rest: &RestCaller, uri: &str) -> Result<ResourceContents, RestProblem> {
    let unknown = || {
        RestProblem::invalid(format!("there is no resource {uri}"))
            .hint("resources/list and resources/templates/list have those that there are")
    };
    let path = uri.strip_prefix(SCHEME).ok_or_else(unknown)?;
    if let Some((_, _, _, text)) = PAGES.iter().find(|(page, ..)| *page == path) {
        return Ok(ResourceContents::text(*text, uri).with_mime_type("text/markdown"));
    }
    let parts: Result<Vec<String>, _> = path
        .split('/')
        .map(|part| percent_decode_str(part).decode_utf8().map(|part| part.into_owned()))
        .collect();
    let parts = parts.map_err(|_| unknown())?;
    match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["runs", run] => {
            let view = rest.get(&format!("/runs/{}", encoded(run))).await?;
            let shown = ToolAnswer::sized(view, true).result().structured_content.unwrap_or_default();
            Ok(ResourceContents::text(shown.to_string(), uri).with_mime_type("application/json"))
        }
        ["runs", run, "logs", step] => {
            let run = encoded(run);
            let view = rest.get(&format!("/runs/{run}")).await?;
            let steps = view["steps"].as_array().into_iter().flatten();
            let step = steps.into_iter().find(|known| known["id"] == *step).ok_or_else(unknown)?;
            let (id, round, attempt) =
                (step["id"].as_str().unwrap_or_default(), &step["round"], &step["attempt"]);
            let path = format!("/runs/{run}/attempts/{}/{round}/{attempt}/log", encoded(id));
            let lines = [("tail", Some(LOG_LINES.to_string()))];
            let (text, _is_whole) = rest.text_end(&with_query(&path, &lines), FULL_BYTES).await?;
            Ok(ResourceContents::text(text, uri))
        }
        ["pipelines", name] => {
            let pipeline = rest.get(&format!("/pipelines/{}", encoded(name))).await?;
            match pipeline.get("text").and_then(Value::as_str) {
                Some(text) => Ok(ResourceContents::text(text, uri).with_mime_type("application/yaml")),
                None => Err(unknown()),
            }
        }
        _other => Err(unknown()),
    }
}

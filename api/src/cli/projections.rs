//! `projections`: how far the read models are, and building one anew.

use serde_json::{Value, json};

use super::args::{ProjectionsArgs, ProjectionsVerb};
use super::context::CommandContext;
use crate::client::encode;
use crate::fault::Fault;
use crate::text::table;

pub(crate) async fn run(context: &CommandContext, args: ProjectionsArgs) -> Result<u8, Fault> {
    let answer: Value = match args.what {
        None => context.client.get("/api/v1/projections").await?,
        Some(ProjectionsVerb::Rebuild { name }) => {
            let path = format!("/api/v1/projections/{}/rebuild", encode(&name));
            context.client.post(&path, &json!({})).await?
        }
    };
    if context.json {
        context.out.json(&answer)?;
        return Ok(0);
    }
    let rows = answer["items"].as_array().into_iter().flatten().map(|model| {
        let state = match (&model["stopped"], &model["rebuilding"]) {
            (_, Value::Number(at)) => format!("being built, at {at}"),
            (Value::Object(stopped), _) => {
                let run = stopped["run"].as_str().map(|run| format!(" on run {run}")).unwrap_or_default();
                let what = stopped["what"].as_str().unwrap_or_default();
                format!("stopped at {}{run}: {what}", stopped["position"])
            }
            _ if model["lag"] == 0 => "up to date".to_owned(),
            _ => "going on".to_owned(),
        };
        [
            model["name"].as_str().unwrap_or_default().to_owned(),
            model["position"].to_string(),
            model["lag"].to_string(),
            model["checkpoint"].to_string(),
            state,
        ]
    });
    context.out.line(table(["MODEL", "POSITION", "LAG", "CHECKPOINT", "STATE"], rows));
    Ok(0)
}

//! Pauses of a pipeline and of the whole engine.

use super::context::CommandContext;
use super::output::note;
use crate::body::steering::HaltBody;
use crate::fault::Fault;
use crate::node::{HaltsView, UnknownPipeline};
use crate::text::{count, plain, quoted};

/// Pauses a pipeline or the whole engine, or ends such a pause.
pub(crate) async fn set(
    context: &CommandContext,
    verb: &str,
    pipeline: Option<&str>,
    reason: Option<&str>,
) -> Result<u8, Fault> {
    let body = HaltBody { pipeline: pipeline.map(str::to_owned), reason: reason.map(str::to_owned) };
    let answer: HaltsView = context.client.post(&format!("/api/v1/engine/{verb}"), &body).await?;
    if context.json {
        context.out.json(&answer)?;
        return Ok(0);
    }
    let what = pipeline.map_or_else(|| "the whole engine".to_owned(), |name| format!("the pipeline {name}"));
    let runs = count(answer.runs as u64, "unended run");
    if verb == "pause" {
        let flag = pipeline.map_or_else(|| "--all".to_owned(), |name| format!("--pipeline {}", quoted(name)));
        context.out.line(format!("{what} is paused; {runs} looked at, and new ones start paused"));
        context.out.line(format!("  {} resume {flag}", context.program));
        if let Some(UnknownPipeline { name, near }) = &answer.unknown_pipeline {
            let near = near.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            note(format!("warning: no pipeline “{}” is saved, and no run is of one{near}", plain(name)));
        }
    } else if answer.driven || answer.runs == 0 {
        context.out.line(format!("{what} goes on; {runs} looked at"));
    } else {
        let nobody = "no engine goes on with all runs";
        context.out.line(format!("{what} is no longer paused; {runs} looked at, and {nobody}"));
        context.out.line(format!("  {} serve", context.program));
    }
    Ok(0)
}

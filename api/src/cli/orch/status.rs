//! `orch status` and `orch stuck`: where tasks stand.

use everfold_engine::clock;
use everfold_engine::time::Timestamp;
use serde_json::Value;

use super::task_list::list;
use super::task_text::task_text;
use crate::cli::args::{OrchStatusArgs, OrchStuckArgs};
use crate::cli::context::CommandContext;
use crate::cli::moments::moment_param;
use crate::cli::output::{columns as terminal_columns, note};
use crate::client::{encode, query};
use crate::fault::Fault;

/// Stuck tasks that are listed.
const STUCK_MAX: &str = "1000";

pub(super) async fn status(context: &CommandContext, args: OrchStatusArgs) -> Result<u8, Fault> {
    let at = moment_param("--at", args.at.as_ref())?;
    let Some(item) = args.item else {
        let status = (!args.all).then(|| "open".to_owned());
        let stage = args.stage.as_ref().map(|stage| format!(" in a stage “{stage}”")).unwrap_or_default();
        let project =
            args.project.as_ref().map(|project| format!(" of a project “{project}”")).unwrap_or_default();
        let params = query([
            ("status", status),
            ("stage", args.stage),
            ("project", args.project),
            ("filter", args.filter),
            ("at", at.clone()),
            ("limit", Some(args.limit.to_string())),
        ]);
        let (open, more) = if args.all { ("", "") } else { ("open ", "; --all shows those that ended") };
        return shown(context, &params, at, &format!("no {open}tasks{stage}{project}{more}")).await;
    };
    let path = format!("/api/v1/orch/tasks/{}{}", encode(&item), query([("at", at.clone())]));
    let task: Value = context.client.get(&path).await?;
    if context.json {
        context.out.json(&task)?;
    } else {
        context.out.raw(&task_text(&task, now(at)));
    }
    Ok(0)
}

pub(super) async fn stuck(context: &CommandContext, args: OrchStuckArgs) -> Result<u8, Fault> {
    let at = moment_param("--at", args.at.as_ref())?;
    let stuck = ("stuck", Some("true".to_owned()));
    let params = query([stuck, ("at", at.clone()), ("limit", Some(STUCK_MAX.to_owned()))]);
    shown(context, &params, at, "nothing is stuck").await
}

async fn shown(
    context: &CommandContext,
    params: &str,
    at: Option<String>,
    nothing: &str,
) -> Result<u8, Fault> {
    let page: Value = context.client.get(&format!("/api/v1/orch/tasks{params}")).await?;
    if context.json {
        context.out.json(&page)?;
        return Ok(0);
    }
    let tasks = page["items"].as_array().cloned().unwrap_or_default();
    if tasks.is_empty() {
        note(nothing);
    } else {
        context.out.line(list(&tasks, now(at), terminal_columns()));
    }
    if page["next_cursor"].is_string() {
        note("there are more; --limit shows them, --json has where they begin");
    }
    Ok(0)
}

/// Ages are those of the moment that is shown.
fn now(at: Option<String>) -> Timestamp {
    at.and_then(|at| at.parse().ok()).unwrap_or_else(clock::now)
}

//! `cancel`, `pause`, `unblock`.

use serde_json::{Value, json};

use super::args::{ReasonArgs, UnblockArgs};
use super::context::Context;
use super::format::does;
use super::show::what_next;
use crate::client::encode;
use crate::fault::{Code, Fault};
use crate::view::RunView;

pub(crate) async fn cancel(context: &Context, args: ReasonArgs) -> Result<u8, Fault> {
    act(context, &args.run, "cancel", json!({ "reason": args.message }), "cancellation is recorded").await
}

pub(crate) async fn pause(context: &Context, args: ReasonArgs) -> Result<u8, Fault> {
    act(context, &args.run, "pause", json!({ "reason": args.message }), "pause is recorded").await
}

pub(crate) async fn unblock(context: &Context, args: UnblockArgs) -> Result<u8, Fault> {
    let output = args.output.as_deref().map(serde_json::from_str::<Value>).transpose();
    let output = output.map_err(|error| Fault::new(Code::Usage, format!("--output is no JSON: {error}")))?;
    let mut body = json!({ "decision": args.decision });
    for (name, value) in
        [("step", args.step.map(Value::from)), ("output", output), ("reason", args.message.map(Value::from))]
    {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    act(context, &args.run, "unblock", body, "decision is recorded").await
}

async fn act(context: &Context, run: &str, verb: &str, body: Value, done: &str) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}/{verb}", encode(run));
    let view: RunView = context.client.post(&path, &body).await?;
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    context.out.line(format!("the {done}; run {} {}", view.short_id, does(view.status)));
    let next = what_next(&view, &context.program);
    if !next.is_empty() {
        context.out.line(next.join("\n"));
    }
    Ok(0)
}

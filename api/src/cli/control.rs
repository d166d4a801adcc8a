//! `cancel`, `pause`, `unblock`.

use serde_json::{Value, json};

use super::args::{CancelArgs, PauseArgs, RecheckArgs, UnblockArgs};
use super::context::Context;
use super::format::does;
use super::order::halt;
use crate::client::encode;
use crate::fault::{Code, Fault};
use crate::view::RunView;

pub(crate) async fn cancel(context: &Context, args: CancelArgs) -> Result<u8, Fault> {
    if args.force {
        return abandon(context, &args.run, json!({ "reason": args.why.message })).await;
    }
    let body = json!({ "step": args.step, "reason": args.why.message });
    act(context, &args.run, "cancel", body, "cancellation is recorded").await
}

pub(crate) async fn pause(context: &Context, args: PauseArgs) -> Result<u8, Fault> {
    match &args.run {
        Some(run) => {
            act(context, run, "pause", json!({ "reason": args.why.message }), "pause is recorded").await
        }
        None => halt(context, "pause", args.pipeline.as_deref(), args.why.message.as_deref()).await,
    }
}

pub(crate) async fn unblock(context: &Context, args: UnblockArgs) -> Result<u8, Fault> {
    let output = args.output.as_deref().map(serde_json::from_str::<Value>).transpose();
    let output = output.map_err(|error| Fault::new(Code::Usage, format!("--output is no JSON: {error}")))?;
    let mut body = json!({ "decision": args.decision });
    for (name, value) in [
        ("step", args.step.map(Value::from)),
        ("output", output),
        ("reason", args.why.message.map(Value::from)),
    ] {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    if !args.policy.is_empty() {
        body["policy"] = policies(&args.policy)?;
    }
    act(context, &args.run, "unblock", body, "decision is recorded").await
}

pub(crate) async fn recheck(context: &Context, args: RecheckArgs) -> Result<u8, Fault> {
    let body = json!({ "step": args.step, "reason": args.why.message, "policy": policies(&args.policy)? });
    act(context, &args.run, "recheck", body, "recheck is recorded").await
}

/// `GATE=EXPR`, by gate.
fn policies(given: &[String]) -> Result<Value, Fault> {
    let mut policies = serde_json::Map::new();
    for one in given {
        let named = one.split_once('=').map(|(gate, policy)| (gate.trim(), policy.trim()));
        let is_gate = |gate: &str| {
            !gate.is_empty() && gate.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        };
        match named {
            Some((gate, policy)) if is_gate(gate) && !policy.is_empty() && !policy.starts_with('=') => {
                policies.insert(gate.to_owned(), policy.into());
            }
            _not_named => {
                return Err(Fault::new(Code::Usage, format!("--policy {one} names no gate"))
                    .hint("write GATE=EXPR, as in --policy 'tests=evidence.exit <= 1'"));
            }
        }
    }
    Ok(Value::Object(policies))
}

/// Ends a run that cannot be gone on with, nor shown where its history is damaged.
async fn abandon(context: &Context, run: &str, body: Value) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}/abandon", encode(run));
    let ended: Value = context.client.post(&path, &body).await?;
    if context.json {
        context.out.json(&ended)?;
        return Ok(0);
    }
    let short = ended["short_id"].as_str().unwrap_or(run);
    context.out.line(format!("run {short} was ended where it stood; its key and its slots are free"));
    Ok(0)
}

async fn act(context: &Context, run: &str, verb: &str, body: Value, done: &str) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}/{verb}", encode(run));
    let view: RunView = context.client.post(&path, &body).await?;
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    context.out.line(format!("the {done}; run {} {}", view.short_id, does(view.status)));
    context.say_next(&view);
    Ok(0)
}

//! `retry`, `restart` and `fork`.

use everfold_engine::definition::input;
use serde_json::{Value, json};

use super::args::{ForkArgs, RestartArgs, RetryArgs, WaitArgs};
use super::background;
use super::context::Context;
use super::run::{follow, pairs};
use crate::client::encode;
use crate::fault::Fault;
use crate::view::RunView;

pub(crate) async fn retry(context: &Context, args: RetryArgs) -> Result<u8, Fault> {
    let body = json!({ "step": args.step });
    again(context, &args.run, "retry", body, &args.wait).await
}

pub(crate) async fn restart(context: &Context, args: RestartArgs) -> Result<u8, Fault> {
    let input = changed(context, &args.run, &args.input).await?;
    let body = json!({ "from_step": args.from, "input": input, "title": args.title });
    again(context, &args.run, "restart", body, &args.wait).await
}

pub(crate) async fn fork(context: &Context, args: ForkArgs) -> Result<u8, Fault> {
    let input = changed(context, &args.run, &args.input).await?;
    let mut body = json!({ "input": input, "title": args.title, "until_step": args.until });
    match args.at.parse::<u64>() {
        Ok(version) => body["version"] = json!(version),
        Err(_time) => body["at"] = json!(args.at),
    }
    again(context, &args.run, "fork", body, &args.wait).await
}

/// The fields that `-i` gives, typed by the pipeline's schema; null without any.
async fn changed(context: &Context, run: &str, given: &[String]) -> Result<Value, Fault> {
    if given.is_empty() {
        return Ok(Value::Null);
    }
    let given = pairs("-i", given)?;
    let path = format!("/api/v1/runs/{}/definition", encode(run));
    let definition: Value = context.client.get(&path).await?;
    let schema = definition.get("input");
    Ok(input::from_pairs(schema, given.iter().map(|(key, value)| (key.as_str(), value.as_str()))))
}

async fn again(
    context: &Context,
    run: &str,
    verb: &str,
    mut body: Value,
    wait: &WaitArgs,
) -> Result<u8, Fault> {
    body["detach"] = json!(wait.detach);
    if wait.detach {
        background::reach(context).await?;
    }
    let view: RunView = context.client.post(&format!("/api/v1/runs/{}/{verb}", encode(run)), &body).await?;
    let word = match &view.origin {
        _ if view.held => "has this key already".to_owned(),
        Some(origin) if view.short_id != run => format!("goes on from {}", origin.run.short()),
        _same => "goes on".to_owned(),
    };
    follow(context, view, wait, &word).await
}

//! `retry`, `restart` and `fork`.

use everfold_engine::definition::input;
use serde_json::{Value, json};

use super::args::{AnewArgs, ForkArgs, RestartArgs, RetryArgs, WaitArgs};
use super::background;
use super::context::Context;
use super::run::{follow, pairs};
use super::{files, pipeline};
use crate::client::encode;
use crate::fault::{Code, Fault};
use crate::view::RunView;

pub(crate) async fn retry(context: &Context, args: RetryArgs) -> Result<u8, Fault> {
    let body = json!({ "step": args.step });
    again(context, &args.run, "retry", body, &args.wait).await
}

pub(crate) async fn restart(context: &Context, args: RestartArgs) -> Result<u8, Fault> {
    let mut body = anew(context, &args.run, &args.anew).await?;
    body["from_step"] = json!(args.from);
    again(context, &args.run, "restart", body, &args.wait).await
}

pub(crate) async fn fork(context: &Context, args: ForkArgs) -> Result<u8, Fault> {
    let mut body = anew(context, &args.run, &args.anew).await?;
    body["until_step"] = json!(args.until);
    match args.at.parse::<u64>() {
        Ok(version) => body["version"] = json!(version),
        Err(_time) => body["at"] = json!(args.at),
    }
    again(context, &args.run, "fork", body, &args.wait).await
}

/// What is asked to be another thing: input, title, definition, settings documents.
async fn anew(context: &Context, run: &str, args: &AnewArgs) -> Result<Value, Fault> {
    let AnewArgs { input, definition, config_value, title } = args;
    let definition = definition.as_deref();
    let input = changed(context, run, definition, input).await?;
    let mut body = json!({ "input": input, "title": title });
    match definition {
        Some(path) if pipeline::is_path(path) => {
            let loaded = pipeline::load(path, context.json)?;
            if !context.json {
                pipeline::print_problems(&loaded.checked.warnings);
            }
            body["definition"] = json!(loaded.text);
            body["file"] = json!(loaded.name);
            body["files"] = json!(loaded.checked.definition.files);
        }
        Some(name) => body["pipeline"] = json!(name),
        None => {}
    }
    for (name, text) in pairs("--config-value", config_value)? {
        let text = match text.strip_prefix('@') {
            Some(path) => files::text(std::path::Path::new(path))?,
            None => text,
        };
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            Fault::new(Code::Usage, format!("--config-value {name}: no JSON: {error}"))
                .hint("--config-value NAME='{\"key\": 1}', or NAME=@FILE")
        })?;
        body["config"][name] = value;
    }
    Ok(body)
}

/// The fields that `-i` gives, typed by the schema of the pipeline that is gone on by; null without any.
async fn changed(
    context: &Context,
    run: &str,
    definition: Option<&str>,
    given: &[String],
) -> Result<Value, Fault> {
    if given.is_empty() {
        return Ok(Value::Null);
    }
    let given = pairs("-i", given)?;
    let schema = match definition {
        Some(path) if pipeline::is_path(path) => pipeline::load(path, context.json)?.checked.definition.input,
        Some(name) => pipeline::named(context, name).await?.input,
        None => {
            let path = format!("/api/v1/runs/{}/definition", encode(run));
            context.client.get::<Value>(&path).await?.get("input").cloned()
        }
    };
    let given = given.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    Ok(input::from_pairs(schema.as_ref(), given))
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

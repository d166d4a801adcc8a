//! `run` and `resume`.

use std::collections::BTreeMap;
use std::path::Path;

use everfold_engine::definition::{Checked, input};
use serde_json::{Value, json};

use super::args::{ResumeArgs, RunArgs, WaitArgs};
use super::context::{Context, absolute};
use super::output::note;
use super::wait::{code_of, told_everybody, wait};
use super::{background, files, pipeline};
use crate::client::encode;
use crate::fault::{Code, Fault};
use crate::view::RunView;

pub(crate) async fn run(context: &Context, args: RunArgs) -> Result<u8, Fault> {
    let (mut body, schema) = if pipeline::is_path(&args.pipeline) {
        let loaded = pipeline::load(&args.pipeline, context.json)?;
        let Checked { definition, warnings, .. } = loaded.checked;
        if !context.json {
            pipeline::print_problems(&warnings);
        }
        let body = json!({ "definition": loaded.text, "file": loaded.name, "files": definition.files });
        (body, definition.input)
    } else {
        let found = pipeline::named(context, &args.pipeline).await?;
        (json!({ "pipeline": args.pipeline }), found.input)
    };
    body["input"] = input_of(&args, schema.as_ref())?;
    body["priority"] = json!(args.priority);
    body["labels"] = json!(pairs("--label", &args.labels)?.into_iter().collect::<BTreeMap<_, _>>());
    match context.client.server() {
        None => body["cwd"] = json!(absolute(Path::new("."))?.display().to_string()),
        Some(server) if !context.json => {
            note(format!(
                "commands run at {}, in its folders: files of this one are not there",
                server.address()
            ));
        }
        Some(_) => {}
    }
    body["detach"] = json!(args.wait.detach);
    if let Some(title) = &args.title {
        body["title"] = json!(title);
    }
    if let Some(key) = &args.idempotency_key {
        body["idempotency_key"] = json!(key);
    }
    if args.wait.detach {
        background::reach(context).await?;
    }
    let view: RunView = match args.idempotency_key {
        Some(_) => context.client.post_keyed("/api/v1/runs", &body).await?,
        None => context.client.post("/api/v1/runs", &body).await?,
    };
    let word = if view.held { "has this key already" } else { "started" };
    follow(context, view, &args.wait, word).await
}

pub(crate) async fn resume(context: &Context, args: ResumeArgs) -> Result<u8, Fault> {
    if args.all || args.pipeline.is_some() {
        return super::order::halt(context, "resume", args.pipeline.as_deref(), None).await;
    }
    if args.wait.detach {
        background::reach(context).await?;
    }
    let path = format!("/api/v1/runs/{}", encode(&args.run));
    let mut view: RunView = context.client.get(&path).await?;
    if view.status.is_ended() {
        if view.notices_outstanding > 0 {
            let path = format!("/api/v1/runs/{}/drive", view.id);
            view = context.client.post(&path, &json!({})).await?;
            view = told_everybody(context, &view).await?;
        }
        if context.json {
            context.out.json(&view)?;
        } else {
            context.out.raw(&super::wait::ending(&view, &context.program));
        }
        return Ok(code_of(view.status));
    }
    let path = format!("/api/v1/runs/{}", view.id);
    // What it stands still with others is theirs to lift.
    if view.paused.iter().any(|pause| !pause.shared) {
        view = context.client.post(&format!("{path}/resume"), &json!({})).await?;
    }
    let body = json!({ "detach": args.wait.detach });
    view = context.client.post(&format!("{path}/drive"), &body).await.unwrap_or(view);
    follow(context, view, &args.wait, "goes on").await
}

pub(crate) async fn follow(
    context: &Context,
    view: RunView,
    args: &WaitArgs,
    word: &str,
) -> Result<u8, Fault> {
    if args.resume_all {
        resume_others(context, &view).await?;
    }
    if args.detach {
        if context.json {
            context.out.json(&view)?;
        } else {
            context.out.line(format!("run {} {word}: {}", view.short_id, view.pipeline));
            context.out.line(format!("  {} watch {}", context.program, view.short_id));
        }
        return Ok(0);
    }
    if !context.json {
        note(format!("run {} {word}: {}", view.short_id, view.pipeline));
    }
    wait(context, &view, args.no_wait).await
}

/// Has the owner go on with every other unfinished run.
async fn resume_others(context: &Context, own: &RunView) -> Result<(), Fault> {
    let path = "/api/v1/runs?status=queued,running,waiting,blocked&limit=1000";
    let mut cursor: Option<String> = None;
    loop {
        let next = cursor.as_ref().map(|cursor| format!("&cursor={}", encode(cursor))).unwrap_or_default();
        let page: Value = context.client.get(&format!("{path}{next}")).await?;
        for run in page["items"].as_array().into_iter().flatten() {
            let Some(id) = run["id"].as_str().filter(|id| *id != own.id.to_string()) else { continue };
            let driven: Result<Value, Fault> =
                context.client.post(&format!("/api/v1/runs/{id}/drive"), &json!({ "detach": true })).await;
            if let Err(fault) = driven {
                note(format!("run {id} cannot be gone on with: {fault}"));
            }
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// The input that the arguments give: the file's, with single values put over it.
fn input_of(args: &RunArgs, schema: Option<&Value>) -> Result<Value, Fault> {
    let given = pairs("-i", &args.input)?;
    let mut whole = match &args.input_file {
        Some(path) => files::json(path)?,
        None => json!({}),
    };
    let single = input::from_pairs(schema, given.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    match (&mut whole, single) {
        (Value::Object(whole), Value::Object(single)) => whole.extend(single),
        (_, Value::Object(single)) if single.is_empty() => {}
        _no_object => {
            return Err(Fault::new(Code::Usage, "-i sets fields, but the input file holds no JSON object"));
        }
    }
    Ok(whole)
}

/// Splits `KEY=VALUE` texts.
pub(crate) fn pairs(flag: &str, texts: &[String]) -> Result<Vec<(String, String)>, Fault> {
    let split = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Fault::new(Code::Usage, format!("{flag} takes KEY=VALUE, not “{text}”"))),
    };
    texts.iter().map(split).collect()
}

//! `retry`, `restart` and `fork`.

use std::collections::BTreeMap;

use everfold_engine::definition::{input, similar};
use serde::Serialize;
use serde_json::{Map, Value};

use super::args::{CredentialArgs, ForkArgs, RerunChanges, RestartArgs, RetryArgs, WaitArgs};
use super::context::CommandContext;
use super::interrupt::Interrupts;
use super::key_values::pairs;
use super::moments::{TypedMoment, run_moment};
use super::run_start::{follow, unanswered};
use super::{background_owner, bulk, credentials, files, pipeline_source};
use crate::body::bulk::BulkOrder;
use crate::body::start::{ForkBody, RestartBody, RetryBody};
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::view::RunView;

pub(crate) async fn retry(context: &CommandContext, args: RetryArgs) -> Result<u8, Fault> {
    let body = RetryBody { step: args.step, detach: args.wait.detach };
    if let Some(filter) = &args.many.filter {
        return bulk::order(context, &args.many, filter, BulkOrder::Retry(body)).await;
    }
    again(context, &args.run, ("retry", &args.brings), &body, &args.wait).await
}

pub(crate) async fn restart(context: &CommandContext, args: RestartArgs) -> Result<u8, Fault> {
    let Some(run) = &args.run else { return restart_many(context, &args).await };
    let changes = changes(context, run, &args.anew).await?;
    let body = RestartBody {
        from_step: args.from,
        input: changes.input,
        title: args.anew.title,
        pipeline: changes.pipeline,
        definition: changes.definition,
        file: changes.file,
        files: changes.files,
        config: changes.config,
        detach: args.wait.detach,
    };
    again(context, run, ("restart", &args.brings), &body, &args.wait).await
}

async fn restart_many(context: &CommandContext, args: &RestartArgs) -> Result<u8, Fault> {
    let RerunChanges { input, definition, config_value, title } = &args.anew;
    if !input.is_empty() || definition.is_some() || !config_value.is_empty() || title.is_some() {
        return Err(Fault::new(Code::Usage, "many runs are restarted as they are")
            .hint("with --filter leave --input, --definition, --config-value and --title out"));
    }
    let filter = args.many.filter.as_deref().unwrap_or_default();
    let body = RestartBody {
        from_step: args.from.clone(),
        input: None,
        title: None,
        pipeline: None,
        definition: None,
        file: None,
        files: None,
        config: None,
        detach: true,
    };
    bulk::order(context, &args.many, filter, BulkOrder::Restart(body)).await
}

pub(crate) async fn fork(context: &CommandContext, args: ForkArgs) -> Result<u8, Fault> {
    let (version, at) = match run_moment(context, &args.run, &args.at)? {
        TypedMoment::Number(version) => (Some(version), None),
        TypedMoment::Time(at) => (None, Some(at.to_string())),
    };
    let changes = changes(context, &args.run, &args.anew).await?;
    let body = ForkBody {
        version,
        at,
        input: changes.input,
        title: args.anew.title,
        until_step: args.until,
        live: args.live,
        replay_effects: args.replay_effects,
        pipeline: changes.pipeline,
        definition: changes.definition,
        file: changes.file,
        files: changes.files,
        config: changes.config,
        detach: args.wait.detach,
    };
    again(context, &args.run, ("fork", &args.brings), &body, &args.wait).await
}

/// What is to be different in the new run.
#[derive(Default)]
struct ResolvedChanges {
    input: Option<Value>,
    pipeline: Option<String>,
    definition: Option<Value>,
    file: Option<String>,
    files: Option<BTreeMap<String, String>>,
    config: Option<Value>,
}

async fn changes(context: &CommandContext, run: &str, args: &RerunChanges) -> Result<ResolvedChanges, Fault> {
    let RerunChanges { input, definition, config_value, title: _ } = args;
    let definition = definition.as_deref();
    let mut changes = ResolvedChanges {
        input: changed(context, run, definition, input).await?,
        ..ResolvedChanges::default()
    };
    match definition {
        Some(path) if pipeline_source::is_path(path) => {
            let loaded = pipeline_source::load(path, context.json)?;
            if !context.json {
                pipeline_source::print_problems(&loaded.checked.warnings);
            }
            changes.definition = loaded.text.map(Value::from);
            changes.file = Some(loaded.name);
            changes.files = Some(loaded.checked.definition.files);
        }
        Some(name) => changes.pipeline = Some(name.to_owned()),
        None => {}
    }
    if !config_value.is_empty() {
        changes.config = Some(config(context, run, definition, config_value).await?);
    }
    Ok(changes)
}

/// The settings documents that `--config-value` gives, each of a name that the pipeline has.
async fn config(
    context: &CommandContext,
    run: &str,
    definition: Option<&str>,
    given: &[String],
) -> Result<Value, Fault> {
    let given = pairs("--config-value", given)?;
    let known = document(context, run, definition).await?;
    let known: Vec<&str> =
        known["config"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let mut config = Map::new();
    for (name, text) in given {
        if !known.contains(&name.as_str()) {
            let fault =
                Fault::new(Code::Usage, format!("--config-value {name}: the pipeline has no such document"));
            return Err(match similar(&name, known.iter().copied()) {
                Some(near) => fault.hint(format!("did you mean “{near}”?")),
                None if known.is_empty() => fault.hint("it has no `config`"),
                None => fault.hint(format!("it has {}", known.join(", "))),
            });
        }
        let text = match text.strip_prefix('@') {
            Some(path) => files::text(std::path::Path::new(path), &files::FileKind::VALUE)?,
            None => text,
        };
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            Fault::new(Code::Usage, format!("--config-value {name}: no JSON: {error}"))
                .hint("--config-value NAME='{\"key\": 1}', or NAME=@FILE")
        })?;
        config.insert(name, value);
    }
    Ok(Value::Object(config))
}

/// The document of the pipeline that is gone on by.
async fn document(context: &CommandContext, run: &str, definition: Option<&str>) -> Result<Value, Fault> {
    match definition {
        Some(path) if pipeline_source::is_path(path) => {
            let document = pipeline_source::load(path, context.json)?.checked.definition.document();
            serde_json::from_str(&document).map_err(|error| Fault::new(Code::Internal, error.to_string()))
        }
        Some(name) => Ok(pipeline_source::named(context, name).await?.document.unwrap_or_default()),
        None => context.client.get(&format!("/api/v1/runs/{}/definition", encode(run))).await,
    }
}

/// The fields that `-i` gives, typed by the schema of the pipeline that is gone on by; none without any.
async fn changed(
    context: &CommandContext,
    run: &str,
    definition: Option<&str>,
    given: &[String],
) -> Result<Option<Value>, Fault> {
    if given.is_empty() {
        return Ok(None);
    }
    let given = pairs("-i", given)?;
    let schema = match definition {
        Some(path) if pipeline_source::is_path(path) => {
            pipeline_source::load(path, context.json)?.checked.definition.input
        }
        Some(name) => pipeline_source::named(context, name).await?.input,
        None => {
            let path = format!("/api/v1/runs/{}/definition", encode(run));
            context.client.get::<Value>(&path).await?.get("input").cloned()
        }
    };
    let given = given.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    Ok(Some(input::from_pairs(schema.as_ref(), given)))
}

async fn again(
    context: &CommandContext,
    run: &str,
    (verb, brings): (&str, &CredentialArgs),
    body: &impl Serialize,
    wait: &WaitArgs,
) -> Result<u8, Fault> {
    let brought = credentials::headers(&brings.credentials)?;
    if wait.detach {
        background_owner::reach(context).await?;
    }
    let path = format!("/api/v1/runs/{}", encode(run));
    // One that is set aside cannot be shown; the verb's own answer says so.
    let before: Option<RunView> = context.client.get(&path).await.ok();
    let mut interrupts = Interrupts::listen()?;
    let verb = format!("{path}/{verb}");
    let begun = context.client.post_bringing(&verb, body, &brought, false);
    let Some(begun) = interrupts.answer(begun).await else { return Ok(unanswered(context)) };
    let view: RunView = begun?;
    let seen = match &view.origin {
        Some(origin) if before.as_ref().is_none_or(|before| before.id != view.id) => {
            let copied = format!(
                "/api/v1/runs/{}/state{}",
                view.id,
                query([("version", Some(origin.version.to_string()))])
            );
            context.client.get(&copied).await.ok()
        }
        _same_run => before.filter(|before| before.id == view.id),
    };
    let word = match &view.origin {
        _ if view.held => "has this key already".to_owned(),
        Some(origin) if view.short_id != run => format!("goes on from {}", origin.run.short()),
        _same => "goes on".to_owned(),
    };
    follow(context, interrupts, view, wait, &word, seen).await
}

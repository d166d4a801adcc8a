//! `run` and `resume`.

use std::collections::BTreeMap;
use std::path::Path;

use everfold_engine::decide::Refusal;
use everfold_engine::definition::CheckedPipeline;
use serde_json::{Value, json};

use super::args::{ResumeArgs, RunArgs};
use super::context::CommandContext;
use super::data_folder::absolute;
use super::interrupt::Interrupts;
use super::key_values::pairs;
use super::output::note;
use super::run_input::input_of;
use super::run_start::{follow, resume_others, unanswered};
use super::wait::{after_notices, code_of};
use super::{background_owner, bulk, credentials, dry_run, engine_pause, input_names, pipeline_source};
use crate::body::bulk::BulkOrder;
use crate::body::start::CreateBody;
use crate::body::steering::{DriveBody, ResumeBody};
use crate::client::encode;
use crate::fault::{Code, Fault};
use crate::view::RunView;

/// What a run goes by: a name, or the text of a file.
#[derive(Default)]
struct RunSource {
    pipeline: Option<String>,
    text: Option<Value>,
    file: Option<String>,
    files: Option<BTreeMap<String, String>>,
}

pub(crate) async fn run(context: &CommandContext, args: RunArgs) -> Result<u8, Fault> {
    if args.dry_run {
        return dry_run::run(context, &args).await;
    }
    let brought = credentials::headers(&args.brings.credentials)?;
    let (source, schema, document) = if pipeline_source::is_path(&args.pipeline) {
        let loaded = pipeline_source::load(&args.pipeline, context.json)?;
        let CheckedPipeline { definition, warnings, .. } = loaded.checked;
        if !context.json {
            pipeline_source::print_problems(&warnings);
        }
        let (text, file) = (loaded.text.map(Value::from), Some(loaded.name));
        let document = serde_json::from_str(&definition.document()).unwrap_or_default();
        (RunSource { pipeline: None, text, file, files: Some(definition.files) }, definition.input, document)
    } else {
        let found = pipeline_source::named(context, &args.pipeline).await?;
        let source = RunSource { pipeline: Some(args.pipeline.clone()), ..RunSource::default() };
        (source, found.input, found.document.unwrap_or_default())
    };
    let input = input_of(&args, schema.as_ref())?;
    if let (false, Some(fields)) = (context.json, input.as_object()) {
        let typed = fields.keys().map(String::as_str);
        input_names::warnings(schema.as_ref(), &document, typed).into_iter().for_each(note);
    }
    let labels = pairs("--label", &args.labels)?.into_iter().collect();
    let cwd = match context.client.server() {
        None => Some(absolute(Path::new("."))?.display().to_string()),
        Some(server) => {
            if !context.json {
                note(format!(
                    "commands run at {}, in its folders: files of this one are not there",
                    server.address()
                ));
            }
            None
        }
    };
    let body = CreateBody {
        pipeline: source.pipeline,
        definition: source.text,
        file: source.file,
        files: source.files,
        input: Some(input),
        labels,
        title: args.title.clone(),
        idempotency_key: args.idempotency_key.clone(),
        cwd,
        detach: args.wait.detach,
        priority: args.priority,
    };
    if args.wait.detach {
        background_owner::reach(context).await?;
    }
    let is_keyed = args.idempotency_key.is_some();
    let mut interrupts = Interrupts::listen()?;
    let started = context.client.post_bringing("/api/v1/runs", &body, &brought, is_keyed);
    let Some(started) = interrupts.answer(started).await else { return Ok(unanswered(context)) };
    let view: RunView = started?;
    let word = if view.held { "has this key already" } else { "started" };
    let seen = view.held.then(|| view.clone());
    follow(context, interrupts, view, &args.wait, word, seen).await
}

pub(crate) async fn resume(context: &CommandContext, args: ResumeArgs) -> Result<u8, Fault> {
    if args.prompt.is_some() && (args.all || args.pipeline.is_some()) {
        return Err(
            Fault::new(Code::Usage, "--prompt is said to one run").hint("everfold resume RUN -p TEXT")
        );
    }
    if let Some(filter) = &args.many.filter {
        let body = ResumeBody { reason: None, prompt: args.prompt };
        return bulk::order(context, &args.many, filter, BulkOrder::Resume(body)).await;
    }
    if args.all || args.pipeline.is_some() {
        return engine_pause::set(context, "resume", args.pipeline.as_deref(), None).await;
    }
    if args.wait.detach {
        background_owner::reach(context).await?;
    }
    let path = format!("/api/v1/runs/{}", encode(&args.run));
    let mut view: RunView = match context.client.get(&path).await {
        // The owner of the folder loads the run again: the cause is gone, or the owner answers with the cause anew.
        Err(fault) if fault.code == Code::SetAside => {
            let body = DriveBody { detach: args.wait.detach };
            context.client.post(&format!("{path}/drive"), &body).await?
        }
        looked => looked?,
    };
    if args.prompt.is_some() && !view.paused.iter().any(|pause| !pause.interrupted.is_empty()) {
        return Err(Refusal::NothingInterrupted.into());
    }
    if view.status.is_ended() {
        if view.notices_outstanding > 0 {
            let path = format!("/api/v1/runs/{}/drive", view.id);
            view = context.client.post(&path, &json!({})).await?;
            view = after_notices(context, &view).await?;
        }
        if context.json {
            context.out.json(&view)?;
        } else {
            context.out.raw(&super::wait::ending(&view, &context.program));
        }
        if args.wait.resume_all {
            resume_others(context, &view).await?;
        }
        return Ok(code_of(view.status));
    }
    let path = format!("/api/v1/runs/{}", view.id);
    let seen = view.clone();
    // What it stands still with others is theirs to lift.
    if view.paused.iter().any(|pause| !pause.shared) {
        let body = ResumeBody { reason: None, prompt: args.prompt };
        view = context.client.post(&format!("{path}/resume"), &body).await?;
    }
    let body = DriveBody { detach: args.wait.detach };
    view = context.client.post(&format!("{path}/drive"), &body).await.unwrap_or(view);
    follow(context, Interrupts::listen()?, view, &args.wait, "goes on", Some(seen)).await
}

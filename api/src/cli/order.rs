//! `signal`, `breakpoints`, `debug`, and pauses of pipelines and of the engine.

use std::collections::BTreeMap;

use everfold_engine::event::{Hearing, SignalTaker};
use serde_json::{Value, json};

use super::args::{BreakpointsArgs, RunRef, SignalArgs};
use super::context::Context;
use super::format::does;
use super::show::past;
use crate::client::encode;
use crate::fault::{Code, Fault};
use crate::http::SignalAnswer;
use crate::owner::{HaltsView, Signalled, Taken};
use crate::view::RunView;

pub(crate) async fn signal(context: &Context, args: SignalArgs) -> Result<u8, Fault> {
    let mut words = args.words.into_iter();
    let is_named = args.labels.is_empty() && args.key.is_none();
    let run = if is_named { words.next() } else { None };
    let (Some(name), payload, None) = (words.next(), words.next(), words.next()) else {
        let usage = "everfold signal RUN NAME [JSON], or with --key KEY or --label KEY=VALUE instead of RUN";
        return Err(Fault::new(Code::Usage, "a run and the name of the signal are wanted").hint(usage));
    };
    // Text that is no JSON is meant as text.
    let payload = payload.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
    let mut body = json!({ "payload": payload, "delivery": args.delivery });
    if let Some(run) = run {
        let path = format!("/api/v1/runs/{}/signals/{}", encode(&run), encode(&name));
        let answer: SignalAnswer = context.client.post(&path, &body).await?;
        if context.json {
            context.out.json(&answer)?;
            return Ok(0);
        }
        context.out.line(heard(&answer.taken, answer.repeated));
        context.out.line(format!("run {} {}", answer.run.short_id, does(answer.run.status)));
        context.say_next(&answer.run);
        return Ok(0);
    }
    match &args.key {
        Some(key) => body["key"] = json!(key),
        None => body["labels"] = json!(labels(&args.labels)?),
    }
    let answer: Value = context.client.post(&format!("/api/v1/signals/{}", encode(&name)), &body).await?;
    if context.json {
        context.out.json(&answer)?;
        return Ok(0);
    }
    let told: Vec<Signalled> = serde_json::from_value(answer["items"].clone()).unwrap_or_default();
    if told.is_empty() {
        context.out.line("no unended run has these labels");
    }
    for run in &told {
        context.out.line(format!("run {}: {}", run.short_id, heard(&run.taken, run.repeated)));
    }
    Ok(0)
}

fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, Fault> {
    let split = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Fault::new(Code::Usage, format!("--label takes KEY=VALUE, not “{text}”"))),
    };
    texts.iter().map(split).collect()
}

/// Who took a signal, in one line.
fn heard(taken: &[Taken], repeated: bool) -> String {
    if repeated {
        return "the signal came with this delivery before; nothing changes".to_owned();
    }
    if taken.is_empty() {
        return "the signal is recorded; nobody hears it now".to_owned();
    }
    let parts: Vec<String> = taken
        .iter()
        .map(|taken| {
            let by = match &taken.by {
                SignalTaker::Gate { id, gate } => format!("the gate {gate} of {} asks again", id.path),
                SignalTaker::Wait(id) => format!("{} waited for it", id.path),
                SignalTaker::Step(id) => format!("{} takes it", id.path),
                SignalTaker::Run => "the run takes it".to_owned(),
                SignalTaker::Nobody => "nobody hears it now".to_owned(),
            };
            match (taken.how, &taken.by) {
                (Hearing::Now, _) => by,
                (Hearing::Deferred, _) => format!("{by}, when the work that runs has ended"),
                (Hearing::Kept, _) => format!("{by}; it is kept for a wait to come"),
                (Hearing::Ignored, _) => format!("{by}, and nothing follows"),
            }
        })
        .collect();
    format!("the signal is recorded: {}", parts.join("; "))
}

pub(crate) async fn breakpoints(context: &Context, args: BreakpointsArgs) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}", encode(&args.run));
    let view: RunView = if args.steps.is_empty() && !args.clear {
        context.client.get(&path).await?
    } else {
        context.client.put(&format!("{path}/breakpoints"), &json!({ "steps": args.steps })).await?
    };
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    context.out.line(match view.breakpoints.as_slice() {
        [] => format!("run {} has no breakpoints", view.short_id),
        steps => format!("run {} pauses before {}", view.short_id, steps.join(", ")),
    });
    Ok(0)
}

pub(crate) async fn debug(context: &Context, args: RunRef) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}", encode(&args.run));
    let view: RunView = context.client.get(&path).await?;
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    context.out.raw(&past(&view));
    let list = |steps: &[String]| if steps.is_empty() { "none".to_owned() } else { steps.join(", ") };
    context.out.line(format!("\nbreakpoints {}", list(&view.breakpoints)));
    context.out.line(format!("next steps  {}", list(&view.next_steps)));
    context.say_next(&view);
    Ok(0)
}

/// Pauses a pipeline or the whole engine, or ends such a pause.
pub(crate) async fn halt(
    context: &Context,
    verb: &str,
    pipeline: Option<&str>,
    reason: Option<&str>,
) -> Result<u8, Fault> {
    let body = json!({ "pipeline": pipeline, "reason": reason });
    let answer: HaltsView = context.client.post(&format!("/api/v1/engine/{verb}"), &body).await?;
    if context.json {
        context.out.json(&answer)?;
        return Ok(0);
    }
    let what = pipeline.map_or_else(|| "the whole engine".to_owned(), |name| format!("the pipeline {name}"));
    let runs = super::format::count(answer.runs as u64, "unended run");
    if verb == "pause" {
        let flag = pipeline.map_or_else(|| "--all".to_owned(), |name| format!("--pipeline {name}"));
        context.out.line(format!("{what} is paused; {runs} looked at, and new ones start paused"));
        context.out.line(format!("  {} resume {flag}", context.program));
    } else {
        context.out.line(format!("{what} goes on; {runs} looked at"));
    }
    Ok(0)
}

//! `signal`.

use everfold_engine::event::{Hearing, SignalTaker};
use serde_json::Value;

use super::args::SignalArgs;
use super::bulk;
use super::context::CommandContext;
use super::key_values::pairs;
use crate::body::bulk::{BulkOrder, NamedSignal};
use crate::body::steering::{SignalAllBody, SignalBody};
use crate::client::encode;
use crate::fault::{Code, Fault};
use crate::http::SignalAnswer;
use crate::node::{SignalReceipt, Signalled};
use crate::text::does;

pub(crate) async fn signal(context: &CommandContext, args: SignalArgs) -> Result<u8, Fault> {
    let mut words = args.words.into_iter();
    let is_named = args.labels.is_empty() && args.key.is_none() && args.many.filter.is_none();
    let run = if is_named { words.next() } else { None };
    let (Some(name), payload, None) = (words.next(), words.next(), words.next()) else {
        let usage = "everfold signal RUN NAME [JSON], or with --key KEY, --label KEY=VALUE or --filter EXPR instead of RUN";
        return Err(Fault::new(Code::Usage, "a run and the name of the signal are wanted").hint(usage));
    };
    if run.as_ref().is_some_and(String::is_empty) {
        return Err(Fault::new(Code::Usage, "the run is empty").hint("@ is the newest run"));
    }
    if name.is_empty() {
        return Err(Fault::new(Code::Usage, "the name of the signal is empty")
            .hint("`everfold show RUN` names the signals that a run waits for"));
    }
    // Text that is no JSON becomes a JSON string.
    let payload = payload.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
    let (payload, delivery) = (payload.unwrap_or_default(), args.delivery);
    if let Some(filter) = &args.many.filter {
        let body = NamedSignal { name, payload, delivery };
        return bulk::order(context, &args.many, filter, BulkOrder::Signal(body)).await;
    }
    if let Some(run) = run {
        let path = format!("/api/v1/runs/{}/signals/{}", encode(&run), encode(&name));
        let answer: SignalAnswer = context.client.post(&path, &SignalBody { payload, delivery }).await?;
        if context.json {
            context.out.json(&answer)?;
            return Ok(0);
        }
        context.out.line(heard(&answer.taken, answer.reason.as_deref(), answer.repeated));
        context.out.line(format!("run {} {}", answer.run.short_id, does(answer.run.status)));
        context.say_next(&answer.run);
        return Ok(0);
    }
    let labels = pairs("--label", &args.labels)?.into_iter().collect();
    let body = SignalAllBody { key: args.key, labels, payload, delivery };
    let answer: Value = context.client.post(&format!("/api/v1/signals/{}", encode(&name)), &body).await?;
    if context.json {
        context.out.json(&answer)?;
        return Ok(0);
    }
    let signalled: Vec<Signalled> = serde_json::from_value(answer["items"].clone()).unwrap_or_default();
    if signalled.is_empty() {
        context.out.line("no unended run has these labels");
    }
    for run in &signalled {
        context.out.line(format!(
            "run {}: {}",
            run.short_id,
            heard(&run.taken, run.reason.as_deref(), run.repeated)
        ));
    }
    Ok(0)
}

fn why(taken: &SignalReceipt) -> String {
    taken.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// Who took a signal, in one line.
fn heard(taken: &[SignalReceipt], reason: Option<&str>, repeated: bool) -> String {
    if repeated {
        return "the signal came with this delivery before; nothing changes".to_owned();
    }
    if taken.is_empty() {
        let why = reason.map_or_else(|| "no part of the run takes it now".to_owned(), str::to_owned);
        return format!("the signal is recorded; {why}");
    }
    let parts: Vec<String> = taken
        .iter()
        .map(|taken| {
            let by = match &taken.by {
                SignalTaker::Gate { id, gate } => format!("the gate {gate} of {} asks again", id.path),
                SignalTaker::Wait(id) => format!("{} waited for it", id.path),
                SignalTaker::Step(id) => format!("{} takes it", id.path),
                SignalTaker::Run => "the run takes it".to_owned(),
                SignalTaker::Nobody => "no part of the run takes it now".to_owned(),
            };
            match (taken.how, &taken.by) {
                (Hearing::Now, _) => by,
                (Hearing::Deferred, _) => format!("{by}, when the work that runs has ended"),
                (Hearing::Kept, _) => {
                    let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                    format!("no step waits for it now{why}; it is kept for a wait to come")
                }
                (Hearing::Ignored, _) => format!("{by}, and nothing follows{}", why(taken)),
                (Hearing::Refused, _) => format!("{by} and refuses it{}", why(taken)),
            }
        })
        .collect();
    format!("the signal is recorded: {}", parts.join("; "))
}

//! `state`: a run as it was at any moment.

use everfold_engine::time::Timestamp;
use serde_json::Value;

use super::args::StateArgs;
use super::context::CommandContext;
use super::run_text;
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::view::RunView;

pub(crate) async fn run(context: &CommandContext, args: StateArgs) -> Result<u8, Fault> {
    let (version, at) = match &args.at {
        None => (None, None),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => (Some(text.clone()), None),
        Some(text) => {
            match text.parse::<Timestamp>() {
                Ok(_) => (None, Some(text.clone())),
                Err(_) => {
                    return Err(Fault::new(Code::Usage, format!("“{text}” is neither a version nor a time"))
                    .hint("a time is written 2026-11-20T08:15:24Z; `everfold events RUN` shows the versions"));
                }
            }
        }
    };
    let params = query([("version", version), ("at", at)]);
    let path = format!("/api/v1/runs/{}/state{params}", encode(&args.run));
    if context.json {
        let state: Value = context.client.get(&path).await?;
        context.out.json(&state)?;
        return Ok(0);
    }
    let view: RunView = context.client.get(&path).await?;
    context.out.line(format!("at version {}, {}", view.version, crate::text::instant(view.updated_at)));
    context.out.raw(&run_text::past(&view));
    Ok(0)
}

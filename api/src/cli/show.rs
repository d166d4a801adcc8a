//! `show`: where a run is, what it waits for, what failed, what to do next.

use everfold_engine::clock;

use super::args::RunRef;
use super::context::CommandContext;
use super::output::columns;
use super::run_text::text;
use crate::client::encode;
use crate::fault::Fault;
use crate::view::RunView;

pub(crate) async fn run(context: &CommandContext, args: RunRef) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}", encode(&args.run));
    if context.json {
        let view: serde_json::Value = context.client.get(&path).await?;
        context.out.json(&view)?;
    } else {
        let view: RunView = context.client.get(&path).await?;
        context.out.raw(&text(&view, clock::now(), &context.program, columns()));
    }
    Ok(0)
}

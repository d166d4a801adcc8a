//! `state`: a run as it was at any moment.

use serde_json::Value;

use super::args::StateArgs;
use super::context::CommandContext;
use super::moments::{TypedMoment, run_moment};
use super::output::columns;
use super::run_text;
use crate::client::{encode, query};
use crate::fault::Fault;
use crate::view::RunView;

pub(crate) async fn run(context: &CommandContext, args: StateArgs) -> Result<u8, Fault> {
    let (version, at) =
        match args.at.as_deref().map(|text| run_moment(context, &args.run, text)).transpose()? {
            None => (None, None),
            Some(TypedMoment::Number(version)) => (Some(version.to_string()), None),
            Some(TypedMoment::Time(at)) => (None, Some(at.to_string())),
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
    context.out.raw(&run_text::past(&view, columns()));
    Ok(0)
}

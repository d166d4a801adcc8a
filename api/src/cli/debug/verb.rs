//! Which of the three the verb does.

use std::io::IsTerminal as _;

use super::{dap, plain, session};
use crate::cli::args::DebugArgs;
use crate::cli::context::CommandContext;
use crate::cli::output::is_terminal;
use crate::client::encode;
use crate::fault::Fault;
use crate::view::RunView;

pub(crate) async fn run(context: &CommandContext, args: DebugArgs) -> Result<u8, Fault> {
    let named = args.run.unwrap_or_else(|| "@".to_owned());
    if args.dap {
        return dap::run(context, named).await;
    }
    // Asked first: a run that there is not, and a store that is being opened, are told as by every verb.
    let view: RunView = context.client.get(&format!("/api/v1/runs/{}", encode(&named))).await?;
    if args.plain || context.json || !has_screen() {
        return plain::print(context, &view);
    }
    session::run(context, view).await
}

/// Whether keys come from a terminal and the screen is one that can be drawn on.
fn has_screen() -> bool {
    let can_draw = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    can_draw && is_terminal() && std::io::stdin().is_terminal()
}

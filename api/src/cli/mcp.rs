//! `mcp`: the tools of agents on standard input and output, over the routes as every verb reaches them.

use std::convert::Infallible;
use std::io::IsTerminal as _;

use axum::extract::Request;
use everfold_mcp::{RestRoutes, serve_stdio};
use tokio_util::sync::CancellationToken;

use super::context::CommandContext;
use super::interrupt::Interrupts;
use super::output::note;
use crate::fault::{Code, Fault};

pub(crate) async fn run(context: &CommandContext) -> Result<u8, Fault> {
    let mut interrupts = Interrupts::listen()?;
    if std::io::stdin().is_terminal() {
        note(
            "speaking the Model Context Protocol on stdin and stdout: a client starts this, see docs/guides/mcp.md; Ctrl-C ends it",
        );
    }
    let client = context.client.clone();
    let routes = RestRoutes::new(tower::service_fn(move |request: Request| {
        let client = client.clone();
        async move { Ok::<_, Infallible>(client.answer(request).await) }
    }));
    // Commands of a run work where this one does, as with `everfold run`; at a server they have a folder of their own.
    let cwd = context.client.place().and_then(|_folder| std::env::current_dir().ok());
    let routes = match cwd.as_deref().and_then(std::path::Path::to_str) {
        Some(cwd) => routes.working_in(cwd.to_owned()),
        None => routes,
    };
    let until = CancellationToken::new();
    let served = serve_stdio(routes, tokio::io::stdin(), tokio::io::stdout(), until.clone());
    tokio::pin!(served);
    let served = tokio::select! {
        served = &mut served => served,
        _signal = interrupts.next() => {
            until.cancel();
            served.await
        }
    };
    served.map(|()| 0).map_err(|error| Fault::new(Code::Internal, error.to_string()))
}

//! `watch`: follows a run without touching it.

use super::args::RunRef;
use super::context::CommandContext;
use super::interrupt::Interrupts;
use super::output::note;
use super::progress::RunProgress;
use super::wait::{INTERRUPTED, code_of, ending};
use crate::client::{Follow, FollowMessage, Followed, encode};
use crate::fault::Fault;
use crate::view::RunView;

pub(crate) async fn run(context: &CommandContext, args: RunRef) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}", encode(&args.run));
    let view: RunView = context.client.get(&path).await?;
    let mut interrupts = Interrupts::listen()?;
    let mut progress = RunProgress::new(context.json, None);
    let follow = Follow { run: view.id.to_string(), from: 1, live: true, drive: false };
    let mut followed = Followed::new(&context.client, follow);
    loop {
        let message = tokio::select! {
            message = followed.next() => message?,
            _ = interrupts.next() => {
                progress.finish();
                return Ok(INTERRUPTED);
            }
        };
        match message {
            FollowMessage::Event(event) if context.json => context.out.json_line(&event)?,
            FollowMessage::Event(event) => progress.event(&event),
            FollowMessage::State(view) => {
                progress.state(&view);
                if !view.driven && !view.status.is_ended() {
                    progress.finish();
                    if !context.json {
                        context.out.raw(&ending(&view, &context.program));
                        note("no engine goes on with this run at the moment");
                    }
                    return Ok(0);
                }
            }
            FollowMessage::End => {
                progress.finish();
                let view: RunView = context.client.get(&format!("/api/v1/runs/{}", view.id)).await?;
                if !context.json {
                    context.out.raw(&ending(&view, &context.program));
                }
                return Ok(code_of(view.status));
            }
        }
    }
}

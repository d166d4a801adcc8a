//! What follows once a run is there: it is followed to its end, or left to go on in the background.

use everfold_engine::state::RunStatus;
use serde_json::Value;

use super::args::WaitArgs;
use super::context::CommandContext;
use super::interrupt::Interrupts;
use super::output::note;
use super::wait::{INTERRUPTED, wait};
use crate::body::steering::DriveBody;
use crate::client::encode;
use crate::fault::Fault;
use crate::view::RunView;

/// What a command ends with that was interrupted before it was answered.
pub(crate) fn unanswered(context: &CommandContext) -> u8 {
    note(format!("interrupted before the answer came; whether a run began: {} runs", context.program));
    INTERRUPTED
}

/// Follows a run that was started or gone on with, as the arguments want; gives the exit code. Of a run that was there
/// before, what is new since the state that was `seen` is printed.
pub(crate) async fn follow(
    context: &CommandContext,
    mut interrupts: Interrupts,
    view: RunView,
    args: &WaitArgs,
    word: &str,
    seen: Option<RunView>,
) -> Result<u8, Fault> {
    if args.resume_all {
        // There may be thousands: a second Ctrl-C does not wait for all of them.
        let Some(resumed) = interrupts.answer(resume_others(context, &view)).await else {
            note(format!(
                "interrupted; come back to the run with: {} resume {}",
                context.program, view.short_id
            ));
            return Ok(INTERRUPTED);
        };
        resumed?;
    }
    if args.detach {
        if context.json {
            context.out.json(&view)?;
        } else {
            context.out.line(format!("run {} {word}: {}", view.short_id, view.pipeline));
            context.out.line(format!("  {} watch {}", context.program, view.short_id));
            if view.status == RunStatus::Paused {
                context.out.line("  it is paused, and nothing of it begins until that is over");
                context.say_next(&view);
            }
        }
        return Ok(0);
    }
    if !context.json {
        note(format!("run {} {word}: {}", view.short_id, view.pipeline));
    }
    wait(context, interrupts, &view, args.no_wait, seen).await
}

/// Has the owner go on with every other unfinished run.
pub(crate) async fn resume_others(context: &CommandContext, own: &RunView) -> Result<(), Fault> {
    let path = "/api/v1/runs?status=queued,running,waiting,blocked,stopping&limit=1000";
    let mut cursor: Option<String> = None;
    loop {
        let next = cursor.as_ref().map(|cursor| format!("&cursor={}", encode(cursor))).unwrap_or_default();
        let page: Value = context.client.get(&format!("{path}{next}")).await?;
        for run in page["items"].as_array().into_iter().flatten() {
            let Some(id) = run["id"].as_str().filter(|id| *id != own.id.to_string()) else { continue };
            let driven: Result<Value, Fault> =
                context.client.post(&format!("/api/v1/runs/{id}/drive"), &DriveBody { detach: true }).await;
            if let Err(fault) = driven {
                note(format!("run {id} cannot be gone on with: {fault}"));
            }
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(());
        }
    }
}

//! An owner in the background: a process of its own that owns the folder until its runs have ended.

use std::collections::HashSet;

use everfold_engine::clock::Stopwatch;
use everfold_engine::event::RunEvent;
use everfold_engine::store::Subscription;
use serde_json::Value;

use super::args::BackgroundArgs;
use super::background_owner::{FIRST, has_open};
use super::context::CommandContext;
use super::interrupt::Interrupts;
use crate::body::steering::DriveBody;
use crate::client::{Client, Leave};
use crate::fault::Fault;

/// The hidden verb: owns the folder, goes on with runs, ends when none is left.
///
/// A signal ends it without a successor: the next owner would have to be ended, too. The runs that it drove wait for
/// the next command or service that is asked to drive them.
pub(crate) async fn run(context: &CommandContext, args: BackgroundArgs) -> Result<(u8, Leave), Fault> {
    let mut interrupts = Interrupts::listen()?;
    // A terminal that closes must not take this process with it.
    let _leader_already = rustix::process::setsid();
    context.client.reach().await?;
    if !context.client.is_owner().await {
        // Another process became the owner first; it is asked to drive the runs.
        for run in &args.runs {
            drive(&context.client, run).await?;
        }
        return Ok((0, Leave::Waiting));
    }
    if let Some(place) = context.client.place()
        && let Err(error) = crate::node::write_background_record(&place.layout.owner())
    {
        tracing::warn!(%error, "owner.json could not be written");
    }
    for run in &args.runs {
        drive(&context.client, run).await?;
    }
    let since = Stopwatch::start();
    let mut ended = HashSet::new();
    loop {
        let runs = context.client.driven_runs().await;
        let is_new = runs.is_empty() && since.elapsed() < FIRST;
        if !is_new && !has_open(&context.client, &runs, &mut ended).await {
            return Ok((0, Leave::Waiting));
        }
        let Some(store) = context.client.with_owner(|owner| owner.store().clone()).await else {
            return Ok((0, Leave::Waiting));
        };
        let mut events = store.subscribe(store.last_position().next());
        tokio::select! {
            () = next_end(events.as_mut()) => {}
            () = tokio::time::sleep(FIRST / 10) => {}
            _asked = interrupts.next() => return Ok((0, Leave::Nothing)),
        }
    }
}

async fn drive(client: &Client, run: &str) -> Result<(), Fault> {
    let driven: Result<Value, Fault> =
        client.post(&format!("/api/v1/runs/{run}/drive"), &DriveBody { detach: true }).await;
    if let Err(fault) = driven {
        tracing::error!(run, %fault, "the run cannot be gone on with");
    }
    Ok(())
}

/// Waits until some run ends, or a notice of one; where the log cannot be followed, for ever.
async fn next_end(events: &mut dyn Subscription) {
    while let Ok(batch) = events.next().await {
        let is_end = |kind: u16| {
            RunEvent::ends_run(kind) || matches!(RunEvent::name_of(kind), Some("NoticeSent" | "NoticeFailed"))
        };
        if batch.iter().any(|event| is_end(event.header.kind)) {
            return;
        }
    }
    std::future::pending().await
}

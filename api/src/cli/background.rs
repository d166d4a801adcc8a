//! An owner in the background: a process of its own that owns the folder until its runs have ended.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use everfold_engine::clock::Stopwatch;
use everfold_engine::event::RunEvent;
use everfold_engine::id::RunId;
use everfold_engine::store::Subscription;
use serde_json::{Value, json};

use super::args::BackgroundArgs;
use super::context::Context;
use super::interrupt::Interrupts;
use super::output::note;
use crate::client::{Client, Leave, Place};
use crate::fault::{Code, Fault};
use crate::owner;
use crate::view::RunView;

/// How long a background owner waits for its first run, and a caller for the owner.
const FIRST: Duration = Duration::from_secs(10);
/// How often either looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a command that only said something stays to see the run's end.
const STAY: Duration = Duration::from_millis(300);

/// The hidden verb: owns the folder, goes on with runs, ends when none is left.
///
/// Where it is asked to end before that, nobody takes its place: whoever ended it would have to end the next
/// one, too. What it went on with waits for the next command or service that is asked to go on.
pub(crate) async fn run(context: &Context, args: BackgroundArgs) -> Result<(u8, Leave), Fault> {
    let mut interrupts = Interrupts::listen()?;
    // A terminal that closes must not take this process with it.
    let _leader_already = rustix::process::setsid();
    context.client.reach().await?;
    if !context.client.is_owner().await {
        // Somebody else was faster; they are asked to go on with the runs.
        for run in &args.runs {
            drive(&context.client, run).await?;
        }
        return Ok((0, Leave::Waiting));
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
        client.post(&format!("/api/v1/runs/{run}/drive"), &json!({ "detach": true })).await;
    if let Err(fault) = driven {
        tracing::error!(run, %fault, "the run cannot be gone on with");
    }
    Ok(())
}

/// Whether one of the runs goes on, or has somebody to tell. What has ended stays so, and is not asked for again.
async fn has_open(client: &Client, runs: &[RunId], ended: &mut HashSet<RunId>) -> bool {
    for run in runs {
        if ended.contains(run) {
            continue;
        }
        let view: Result<RunView, Fault> = client.get(&format!("/api/v1/runs/{run}")).await;
        let is_over = match view {
            Ok(view) => view.status.is_ended() && view.notices_outstanding == 0,
            // Nobody goes on with it, here or elsewhere, before somebody has seen to it.
            Err(fault) => matches!(fault.code, Code::NoRun | Code::SetAside),
        };
        if !is_over {
            return true;
        }
        ended.insert(*run);
    }
    false
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

/// Makes sure that an owner is there that outlives this command.
pub(crate) async fn reach(context: &Context) -> Result<(), Fault> {
    // A server is there anyway.
    let Some(place) = context.client.place() else { return Ok(()) };
    let socket = place.layout.socket();
    if owner::connect(&socket).await.is_ok() {
        return Ok(());
    }
    let mut child = spawn(place, &[])?;
    let since = Stopwatch::start();
    loop {
        if owner::connect(&socket).await.is_ok() {
            return Ok(());
        }
        if let Ok(Some(ended)) = child.try_wait()
            && !ended.success()
        {
            // The store cannot be opened: opening it here says why.
            context.client.reach().await?;
            return Err(Fault::new(Code::Internal, "the background process ended at once"));
        }
        if since.elapsed() > FIRST {
            return Err(Fault::new(Code::NoAnswer, "the background process did not begin in time"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ends the command's hold on the folder; runs that go on are left to a background owner.
pub(crate) async fn leave(context: &Context, leave: Leave) {
    if leave == Leave::Everything && context.client.is_owner().await {
        let since = Stopwatch::start();
        let runs = context.client.driven_runs().await;
        let mut ended = HashSet::new();
        while since.elapsed() < STAY && has_open(&context.client, &runs, &mut ended).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    let unfinished = context.client.leave(leave).await;
    if unfinished.is_empty() {
        return;
    }
    let Some(place) = context.client.place() else { return };
    match spawn(place, &unfinished) {
        Ok(child) => {
            // Else a next command might take the folder for its own short life before it does.
            listens(place, child).await;
            for run in &unfinished {
                let short = run.short();
                note(format!("run {short} goes on in the background: {} watch {short}", context.program));
            }
        }
        Err(fault) => note(format!("{fault}: go on with `{} resume`", context.program)),
    }
}

/// Waits until a background owner listens, or has ended.
async fn listens(place: &Place, mut child: std::process::Child) {
    let socket = place.layout.socket();
    let since = Stopwatch::start();
    while since.elapsed() < FIRST && matches!(child.try_wait(), Ok(None)) {
        if owner::connect(&socket).await.is_ok() {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn spawn(place: &Place, runs: &[RunId]) -> Result<std::process::Child, Fault> {
    let failed =
        |error: std::io::Error| Fault::new(Code::Internal, format!("no background process: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.arg("background").arg("--dir").arg(place.layout.root());
    if let Some(config) = &place.config {
        command.arg("--config").arg(config);
    }
    if let Some(event) = &place.crash_after {
        command.arg("--crash-after").arg(event);
    }
    for run in runs {
        command.arg("--resume").arg(run.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(failed)
}

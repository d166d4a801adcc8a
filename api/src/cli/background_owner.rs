//! The owner in the background, as seen by the command that needs one: it is started, waited for, and left the
//! runs that go on.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use everfold_engine::clock::Stopwatch;
use everfold_engine::id::RunId;

use super::context::CommandContext;
use super::output::note;
use crate::client::{Client, FolderOptions, Leave};
use crate::fault::{Code, Fault};
use crate::node::{self, OwnerRecord};
use crate::serve;
use crate::view::RunView;

/// How long a background owner waits for its first run, and a caller for the owner.
pub(super) const FIRST: Duration = Duration::from_secs(10);
/// How long an owner in the background may take to end.
const HANDOVER: Duration = Duration::from_secs(10);
/// How often either looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a command that only said something stays to see the run's end.
const STAY: Duration = Duration::from_millis(300);

/// Whether one of the runs goes on, or has notices to send. A run that has ended is not asked for again.
pub(super) async fn has_open(client: &Client, runs: &[RunId], ended: &mut HashSet<RunId>) -> bool {
    for run in runs {
        if ended.contains(run) {
            continue;
        }
        let view: Result<RunView, Fault> = client.get(&format!("/api/v1/runs/{run}")).await;
        let is_over = match view {
            Ok(view) => view.status.is_ended() && view.notices_outstanding == 0,
            // A run that is set aside goes on in no process before a person has repaired it.
            Err(fault) => matches!(fault.code, Code::NoRun | Code::SetAside),
        };
        if !is_over {
            return true;
        }
        ended.insert(*run);
    }
    false
}

/// Makes sure that an owner is there that outlives this command.
pub(crate) async fn reach(context: &CommandContext) -> Result<(), Fault> {
    // A server is there anyway.
    let Some(place) = context.client.place() else { return Ok(()) };
    let socket = place.layout.socket();
    if serve::connect(&socket).await.is_ok() {
        return Ok(());
    }
    let mut child = spawn(place, &[])?;
    let since = Stopwatch::start();
    loop {
        if serve::connect(&socket).await.is_ok() {
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

/// Ends an owner in the background, whose runs go on here; another owner that listens is left, and given.
pub(super) async fn take_over(place: &FolderOptions) -> Result<Option<OwnerRecord>, Fault> {
    let socket = place.layout.socket();
    let Ok(stream) = serve::connect(&socket).await else { return Ok(None) };
    let Some(record) = node::read_record(&place.layout.owner()) else { return Ok(None) };
    let peer = stream.peer_cred().ok().and_then(|peer| peer.pid());
    drop(stream);
    // The record may be of a process that is gone; who listens is not.
    let is_of_listener = peer.is_none_or(|pid| u32::try_from(pid) == Ok(record.pid));
    let pid = i32::try_from(record.pid).ok().and_then(rustix::process::Pid::from_raw);
    let (true, true, Some(pid)) = (record.background, is_of_listener, pid) else { return Ok(Some(record)) };
    note("the runs of the background go on here");
    let _gone_already = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let since = Stopwatch::start();
    while serve::connect(&socket).await.is_ok() {
        if since.elapsed() > HANDOVER {
            return Err(Fault::new(Code::NoAnswer, format!("process {} did not end in time", record.pid)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(None)
}

/// Ends the command's hold on the folder; runs that go on are left to a background owner.
pub(crate) async fn leave(context: &CommandContext, leave: Leave) {
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
async fn listens(place: &FolderOptions, mut child: std::process::Child) {
    let socket = place.layout.socket();
    let since = Stopwatch::start();
    while since.elapsed() < FIRST && matches!(child.try_wait(), Ok(None)) {
        if serve::connect(&socket).await.is_ok() {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn spawn(place: &FolderOptions, runs: &[RunId]) -> Result<std::process::Child, Fault> {
    let failed =
        |error: std::io::Error| Fault::new(Code::Internal, format!("no background process: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    // They belong to the request of this command: no owner of a data folder has them for its life.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EVERFOLD_CREDENTIAL_") {
            command.env_remove(&name);
        }
    }
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

//! One attempt of a step by a process, from its request to its end.

use std::sync::Arc;
use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_language::definition::Save;
use everfold_ports::{AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult};

use super::attach::{Watch, attach, end_of_removed};
use super::attempt_folder;
use super::plan::{Begun, Plan};
use super::report;
use super::setup::Processes;
use super::stored_end::StoredEnd;
use super::unready::Unready;
use super::{process_input, program, turns};
use crate::attempt_end::ended_now;
use crate::git::repository::WORKTREE_GONE;
use crate::git::{Git, GitError, take_over, unable};
use crate::private_file::{if_there, make_private, write_draft};
use crate::shim::protocol::{CANCEL, CommandOutcome, INPUT, STARTED};

/// How often an attempt is tried whose folder cannot be read, before its run is quarantined.
const LOOKS_MAX: u32 = 6;
/// The pause after the first such try; doubled after each further one.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Makes the attempt, or goes on with it, wherever it stands.
///
/// An error of the system is no end of the attempt: the folder is read again a few times, then the attempt is
/// reported as unreadable.
pub(crate) async fn attempt(
    processes: Processes,
    request: AttemptRequest,
    plan: Result<Plan, Failure>,
    observer: Arc<dyn AttemptObserver>,
    begun: Begun,
) -> AttemptEnd {
    let (mut pause, mut begun) = (LOOK_PAUSE, begun);
    for _ in 1..LOOKS_MAX {
        match make_or_go_on(&processes, &request, &plan, &observer, &mut begun).await {
            Err(Unready::Unseen(reason)) => {
                tracing::warn!(attempt = %request.id, reason, "an attempt cannot be seen; it is looked again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Ok(end) => return end,
            Err(unready) => return ended_now(unready.into()),
        }
    }
    let seen = make_or_go_on(&processes, &request, &plan, &observer, &mut begun).await;
    seen.unwrap_or_else(|unready| ended_now(unready.into()))
}

async fn make_or_go_on(
    processes: &Processes,
    request: &AttemptRequest,
    plan: &Result<Plan, Failure>,
    observer: &Arc<dyn AttemptObserver>,
    begun: &mut Begun,
) -> Result<AttemptEnd, Unready> {
    let folder = &request.folder;
    if let Some(end) = StoredEnd::load(folder).map_err(|error| Unready::unseen("the report", &error))? {
        return Ok(end.into());
    }
    let has = |name: &str| attempt_folder::has(folder, name).map_err(Unready::from);
    if let Some(record) = end_of_removed(folder, *begun).await? {
        return Ok(ended_now(match record.outcome {
            CommandOutcome::Lost { reason } => AttemptResult::Lost { reason },
            _cancelled => AttemptResult::Failed(Failure::new(FailureKind::Cancelled, "cancelled")),
        }));
    }
    let plan = plan.as_ref().map_err(|failure| Unready::Failed(failure.clone()))?;
    prepare_folder(request, plan)?;
    reset_worktree(request).await?;
    if !has_begun(request)? {
        take_over(request.id.run, &request.workdir, &processes.settings.providers).await;
    }
    loop {
        turns::settle(folder).map_err(|error| unturned(&error))?;
        let past = turns::past(folder)?;
        // What has begun was given its secrets then.
        let handover = match !request.secrets.is_empty() && !has(STARTED)? {
            true => {
                let values = processes.secrets.look_up(&request.secrets).await?;
                Some(process_input::handover(request, &values))
            }
            false => None,
        };
        let mut shim_request = process_input::request(request, plan, &processes.settings);
        turns::change_request(&mut shim_request, &past);
        let mut watch = Watch::new(folder, observer.clone(), plan.progress, !request.secrets.is_empty());
        if let Some(meter) = plan.meter {
            let before = report::before_turns(plan, &past).await;
            watch = watch.metered(meter(), plan.model.clone(), before);
        }
        let attached = attach(&processes.shim, folder, &shim_request, handover.as_ref(), Some(watch), begun);
        let record = attached.await?;
        let next = if has(CANCEL)? { None } else { report::next_turn(request, plan, &record, &past).await? };
        match next {
            None => return report::report(processes, request, plan, &record, &past).await,
            Some(next) => turns::advance(folder, &next).map_err(|error| unturned(&error))?,
        }
    }
}

/// The change to the next turn failed. That is no failure of the attempt: the turn that ended must not run again.
fn unturned(error: &std::io::Error) -> Unready {
    Unready::unseen("the next turn", error)
}

/// Checks that the worktree is there, and resets it to where the attempt begins, unless the attempt has begun.
async fn reset_worktree(request: &AttemptRequest) -> Result<(), Unready> {
    let Some(git) = &request.workdir.git else { return Ok(()) };
    if has_begun(request)? {
        return Ok(());
    }
    Git::within(&request.workdir).map_err(|error| match error.is_full() {
        true => Unready::NoRoom(format!("the worktree could not be looked at: {}", unable(&error).message)),
        false => unable(&error).into(),
    })?;
    let Some(commit) = request.reset_to.as_ref().filter(|_| !git.is_copy) else { return Ok(()) };
    match crate::git::reset(&request.workdir, commit, git.save == Save::Push).await {
        Ok(()) => Ok(()),
        Err(error @ GitError::Gone { .. }) => Err(unable(&error).into()),
        Err(error) if error.is_full() => {
            Err(Unready::NoRoom(format!("the worktree could not be reset: {error}")))
        }
        Err(error) => {
            let message = format!("the worktree could not be reset to {commit}: {error}");
            let mut failure = Failure::new(FailureKind::Spawn, message)
                .with_hint("look at the worktree; `git reset --hard` there tells more");
            failure.code = Some("CLEAN".to_owned());
            Err(failure.into())
        }
    }
}

/// Whether the program was called before.
fn has_begun(request: &AttemptRequest) -> Result<bool, Unready> {
    Ok(attempt_folder::has(&request.folder, STARTED)? || turns::has_any(&request.folder)?)
}

/// Makes the folder ready, unless the command has started there before.
fn prepare_folder(request: &AttemptRequest, plan: &Plan) -> Result<(), Unready> {
    if has_begun(request)? {
        return Ok(());
    }
    let workdir = &request.workdir.path;
    let missing = || {
        let message = format!("the working folder {} does not exist", workdir.display());
        let mut failure = Failure::new(FailureKind::Spawn, message);
        if request.workdir.git.is_some() {
            failure.code = Some(WORKTREE_GONE.to_owned());
            let hint = "an earlier step, or another program, removed it: `everfold restart RUN --from STEP` goes on in a new one";
            failure = failure.with_hint(hint);
        }
        Unready::from(failure)
    };
    match if_there(workdir.metadata()) {
        Ok(Some(about)) if about.is_dir() => {}
        Ok(_) => return Err(missing()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Err(missing()),
        Err(error) => return Err(Unready::unseen("the working folder", &error)),
    }
    let program = plan.argv.first().cloned().unwrap_or_default();
    let path = request.env.get("PATH").or(plan.env.get("PATH")).map(String::as_str);
    let found = program::find_program(&program, workdir, path)
        .map_err(|error| Unready::unseen(&format!("the program {program}"), &error))?;
    if found.is_none() {
        let message = format!("the program {program} does not exist or may not be executed");
        return Err(Failure::new(FailureKind::Spawn, message).with_hint(&plan.missing_hint).into());
    }
    let io = |what: &str, error: std::io::Error| {
        let failure = || {
            Failure::new(FailureKind::Spawn, format!("could not write {what} of the attempt: {error}"))
                .with_hint("look at the space and the permissions of the data folder")
        };
        Unready::of(&error, what, failure)
    };
    let folder = &request.folder;
    make_private(folder).map_err(|error| io("the folder", error))?;
    let input = everfold_base::json::canonical(&request.input);
    write_draft(&folder.join(INPUT), input.as_bytes()).map_err(|error| io(INPUT, error))?;
    for (name, bytes) in &plan.files {
        write_draft(&folder.join(name), bytes).map_err(|error| io(name, error))?;
    }
    report::note_before(request).map_err(|error| io("what was there before", error))?;
    if let Some(remark) = &plan.remark {
        turns::remark(folder, remark).map_err(|error| io("the log", error))?;
    }
    Ok(())
}

//! One attempt of a step by a process, from its request to its end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::definition::Save;
use everfold_engine::execution::{AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Usage};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::json::Value;
use everfold_engine::store::is_shortage;
use everfold_engine::time::Timestamp;

use super::Processes;
use super::attach::{self, AttachError, Progress, Says, Watch, attach};
use super::files::{if_there, make_private, write_private};
use super::output::Stdout;
use super::report::{self, StoredEnd};
use super::told::{self, INPUT};
use super::turns::{self, Next};
use crate::git::{Git, GitError, unable};
use crate::shim::os::now_ms;
use crate::shim::protocol::{CANCEL, ExitRecord, Outcome, REQUEST, STARTED};

/// How often an attempt is looked at that cannot be seen, before its run is set aside.
const LOOKS_MAX: u32 = 6;
/// After the first such look; twice as long after each further one.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// What to run for an attempt, and how its output is read.
pub(crate) struct Plan {
    pub(crate) argv: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) stdin: Option<PathBuf>,
    /// Written into the folder before the start.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// Kept as blobs of the run, under names that `outputs` cannot take.
    pub(crate) kept: Vec<(String, String)>,
    pub(crate) stdout_max_bytes: u64,
    pub(crate) stdout_tail_max_bytes: u64,
    pub(crate) progress: Progress,
    pub(crate) interpret: Interpret,
    /// What counts what it uses up while it works.
    pub(crate) meter: Option<fn() -> Box<dyn Meter>>,
    /// The model of what it does not name one for.
    pub(crate) model: Option<String>,
    /// Whether it is called once more when it has ended.
    pub(crate) next: Option<Next>,
    /// Said in the log before it begins.
    pub(crate) remark: Option<String>,
    /// What to do when the program is not there.
    pub(crate) missing_hint: String,
}

/// Reads the output of a process that ended; also of one that failed, for its usage.
pub(crate) type Interpret = Arc<dyn Fn(&Ended<'_>) -> Answer + Send + Sync>;

/// A process that ended by itself.
pub(crate) struct Ended<'a> {
    pub(crate) exit_code: i32,
    pub(crate) stdout: &'a Stdout,
    /// What the result file holds, without the reserved key.
    pub(crate) result: Option<&'a Value>,
}

/// What a process's output means.
pub(crate) struct Answer {
    /// The output, unless the step declares another one; a failure fails the attempt.
    pub(crate) output: Result<Value, Failure>,
    pub(crate) usage: Vec<Usage>,
    /// What the step's `outputs.json` and `outputs.match` read in place of standard output, where that
    /// is a protocol around it.
    pub(crate) text: Option<String>,
    /// What the step declares has to fit this, too.
    pub(crate) check: Option<Check>,
    /// An output that is not what the step declares is null, and fails nothing.
    pub(crate) keeps: bool,
}

/// Counts what a process uses up, by what it says on standard output while it works.
pub(crate) trait Meter: Send {
    /// Takes a line; whether it said something of that.
    fn line(&mut self, line: &str) -> bool;

    /// All of it so far, by model.
    fn used(&self) -> Vec<Usage>;
}

/// Says what is wrong with an output, which the text names.
pub(crate) type Check = Arc<dyn Fn(&str, &Value) -> Result<(), Failure> + Send + Sync>;

/// What is known of an attempt that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It may not have begun.
    Perhaps,
    /// A former engine saw it begin.
    Surely,
}

/// Makes the attempt, or goes on with it, wherever it stands.
///
/// Errors of the system are no end of it: it is looked again a few times, and then said that it cannot be seen.
pub(crate) async fn attempt(
    processes: Processes,
    request: AttemptRequest,
    plan: Result<Plan, Failure>,
    observer: Arc<dyn AttemptObserver>,
    begun: Begun,
) -> AttemptEnd {
    let mut pause = LOOK_PAUSE;
    for _ in 1..LOOKS_MAX {
        match look(&processes, &request, &plan, &observer, begun).await {
            Err(Unready::Unseen(reason)) => {
                tracing::warn!(attempt = %request.id, reason, "an attempt cannot be seen; it is looked again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Ok(end) => return end,
            Err(unready) => return ended_now(unready.into()),
        }
    }
    let seen = look(&processes, &request, &plan, &observer, begun).await;
    seen.unwrap_or_else(|unready| ended_now(unready.into()))
}

async fn look(
    processes: &Processes,
    request: &AttemptRequest,
    plan: &Result<Plan, Failure>,
    observer: &Arc<dyn AttemptObserver>,
    begun: Begun,
) -> Result<AttemptEnd, Unready> {
    let folder = &request.folder;
    if let Some(end) = StoredEnd::load(folder).map_err(|error| Unready::unseen("the report", &error))? {
        return Ok(end.into());
    }
    let has = |name: &str| attach::has(folder, name).map_err(Unready::from);
    if begun == Begun::Surely && !has(STARTED)? && !has(REQUEST)? {
        // Without its folder nobody can say what became of it; running it again could be the second time.
        return Ok(ended_now(if has(CANCEL)? {
            AttemptResult::Failed(Failure::new(FailureKind::Cancelled, "cancelled"))
        } else {
            AttemptResult::Lost { reason: format!("its folder {} is gone", folder.display()) }
        }));
    }
    let plan = plan.as_ref().map_err(|failure| Unready::Failed(failure.clone()))?;
    prepared(request, plan)?;
    cleaned(request).await?;
    loop {
        turns::settle(folder).map_err(|error| unturned(&error))?;
        let past = turns::past(folder)?;
        // What has begun was given its secrets then.
        let handover = match !request.secrets.is_empty() && !has(STARTED)? {
            true => {
                let values = processes.secrets.look_up(&request.secrets).await?;
                Some(told::handover(request, &values))
            }
            false => None,
        };
        let mut shim_request = told::request(request, plan, &processes.settings);
        turns::change_request(&mut shim_request, &past);
        let mut watch = Watch::new(folder, observer.clone(), plan.progress);
        if let Some(meter) = plan.meter {
            let before = report::before_turns(plan, &past).await;
            watch = watch.metered(meter(), plan.model.clone(), before);
        }
        let record = attach(&processes.shim, folder, &shim_request, handover.as_ref(), Some(watch)).await?;
        let next = if has(CANCEL)? { None } else { report::next_turn(request, plan, &record, &past).await? };
        match next {
            None => return report::report(processes, request, plan, &record, &past).await,
            Some(next) => turns::advance(folder, &next).map_err(|error| unturned(&error))?,
        }
    }
}

/// The turn before has ended, and what it did must not be done again.
fn unturned(error: &std::io::Error) -> Unready {
    Unready::unseen("the next turn", error)
}

/// Why an attempt did not come as far as it should.
#[derive(Debug)]
pub(super) enum Unready {
    Failed(Failure),
    /// It will, when the system has what that needs.
    NoRoom(String),
    /// It may have: the system does not let it be seen.
    Unseen(String),
}

impl Unready {
    /// What the system refused: for want of what it has too little of, or else what is made of it.
    pub(super) fn of(error: &std::io::Error, what: &str, failure: impl FnOnce() -> Failure) -> Self {
        if is_shortage(error) { Self::NoRoom(format!("{what}: {error}")) } else { Self::Failed(failure()) }
    }

    /// A file of the attempt's folder that could not be read or moved, of an attempt that may have begun.
    pub(super) fn unseen(what: &str, error: &std::io::Error) -> Self {
        let reason = format!("{what}: {error}");
        if is_shortage(error) { Self::NoRoom(reason) } else { Self::Unseen(reason) }
    }
}

impl From<AttachError> for Unready {
    fn from(error: AttachError) -> Self {
        match error.says() {
            Says::NotNow => Self::NoRoom(error.explained()),
            Says::Unknown => Self::Unseen(error.explained()),
            Says::NotBegun => Self::Failed(unattached(&error)),
        }
    }
}

impl From<Failure> for Unready {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unready> for AttemptResult {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::Failed(failure) => Self::Failed(failure),
            Unready::NoRoom(reason) => Self::NoRoom { reason },
            Unready::Unseen(reason) => Self::Unreadable { reason },
        }
    }
}

pub(crate) fn ended_now(result: AttemptResult) -> AttemptEnd {
    AttemptEnd::new(result, Timestamp(now_ms()))
}

/// Sees to it that the worktree is there, and brings it back to where the attempt is to begin, unless it has.
async fn cleaned(request: &AttemptRequest) -> Result<(), Unready> {
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
    Ok(attach::has(&request.folder, STARTED)? || turns::has_any(&request.folder)?)
}

/// Makes the folder ready, unless the command has started there before.
fn prepared(request: &AttemptRequest, plan: &Plan) -> Result<(), Unready> {
    if has_begun(request)? {
        return Ok(());
    }
    let workdir = &request.workdir.path;
    let missing = || {
        let message = format!("the working folder {} does not exist", workdir.display());
        Unready::from(Failure::new(FailureKind::Spawn, message))
    };
    match if_there(workdir.metadata()) {
        Ok(Some(about)) if about.is_dir() => {}
        Ok(_) => return Err(missing()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Err(missing()),
        Err(error) => return Err(Unready::unseen("the working folder", &error)),
    }
    let program = plan.argv.first().cloned().unwrap_or_default();
    let path = request.env.get("PATH").or(plan.env.get("PATH")).map(String::as_str);
    let found = told::find_program(&program, workdir, path)
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
    let input = everfold_engine::json::canonical(&request.input);
    write_private(&folder.join(INPUT), input.as_bytes()).map_err(|error| io(INPUT, error))?;
    for (name, bytes) in &plan.files {
        write_private(&folder.join(name), bytes).map_err(|error| io(name, error))?;
    }
    report::note_before(request).map_err(|error| io("what was there before", error))?;
    if let Some(remark) = &plan.remark {
        turns::remark(folder, remark).map_err(|error| io("the log", error))?;
    }
    Ok(())
}

fn unattached(error: &AttachError) -> Failure {
    Failure::new(FailureKind::Spawn, error.explained())
        .with_hint("look at the space and the permissions of the data folder; `everfold doctor` checks both")
}

/// What the record of an end says by itself, before anything that the process left is read.
pub(crate) fn outcome(record: &ExitRecord, request: &AttemptRequest, hint: &str) -> Result<i32, Failure> {
    let failed = |kind, message: String, exit_code: Option<i32>| {
        let mut failure = Failure::new(kind, message);
        failure.exit_code = exit_code;
        Err(failure)
    };
    match &record.outcome {
        Outcome::Exited { code } => Ok(*code),
        Outcome::Signalled { signal } => {
            failed(FailureKind::Crash, format!("ended by signal {signal}"), Some(128 + signal))
        }
        Outcome::TimedOut => {
            let limit = request.timeout.map(everfold_engine::duration::format).unwrap_or_default();
            failed(FailureKind::Timeout, format!("the time limit of {limit} passed"), Some(124))
        }
        Outcome::Cancelled => failed(FailureKind::Cancelled, "cancelled".to_owned(), None),
        // The operating system ends every text at a zero byte, so none can be passed on.
        Outcome::NotStarted { missing: _, reason } if reason.contains("nul byte") => {
            let message = "an argument or a variable of the environment holds a zero byte";
            Err(Failure::new(FailureKind::Validation, message).with_hint(
                "no program can be given one: pass the value in a file, or read it from EVERFOLD_INPUT",
            ))
        }
        Outcome::NotStarted { missing, reason } => {
            let failure = Failure::new(FailureKind::Spawn, format!("could not be started: {reason}"));
            Err(if *missing { failure.with_hint(hint) } else { failure })
        }
        Outcome::Lost { reason } => failed(FailureKind::Lost, reason.clone(), None),
    }
}

//! Brings a folder to its `exit.json`: waits for its supervisor, or starts one.
//!
//! Law: what may have begun in a folder that is gone is lost, and nothing begins in its place before what is left of it has ended.
//! Alive means that the lock is held. A handle on the supervisor is opened first and its
//! identity compared after, so that a number that passed to another process is never waited for. An error of the
//! system is never read as “there” or “missing”: it is passed on.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use everfold_base::time::Timestamp;
use everfold_ports::{AttemptObserver, Usage};
use tokio::io::AsyncWriteExt as _;

use super::attach_error::{AttachError, Says};
use super::attempt_folder::{has, is_held, read_exit};
use super::meter::Metered;
use super::plan::{Begun, Meter, Progress};
use super::progress_file::ProgressFile;
use super::shim_program::ShimProgram;
use crate::private_file::{self, if_there};
use crate::shim::Handover;
use crate::shim::leftovers;
use crate::shim::log::{self, LogReader, LogSource};
use crate::shim::protocol::{
    CANCEL, CommandOutcome, CommandRequest, EXIT_HELD, EXIT_NO_ROOM, EXIT_UNABLE, ExitRecord, LOG, REQUEST,
    SHIM_ERRORS, STARTED, ShimRecord, WAKE,
};
use everfold_system::regular;

/// Supervisors that may end without a record before the attempt gives up.
const STARTS_MAX: u32 = 3;
/// The longest pause between looks at the output for the live line.
const WATCH_EVERY: Duration = Duration::from_millis(200);
/// The first look comes early: most commands are short.
const WATCH_FIRST: Duration = Duration::from_millis(10);
/// How far the live line may lag behind.
const SHOWN_BYTES_MAX: u64 = 256 * 1024;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// The pause between looks at a cancelled attempt whose end the system does not let it see.
const BLIND_PAUSE: Duration = Duration::from_millis(500);

/// Tells an observer what a process says while it runs.
pub(crate) struct Watch {
    observer: Arc<dyn AttemptObserver>,
    progress: Progress,
    reader: LogReader,
    folder: PathBuf,
    started: bool,
    metered: Option<Metered>,
    progress_file: ProgressFile,
}

impl Watch {
    /// Tells also what it uses up, on top of what it had used up before.
    pub(crate) fn metered(
        mut self,
        meter: Box<dyn Meter>,
        model: Option<String>,
        before: Vec<Usage>,
    ) -> Self {
        self.metered = Some(Metered::new(&self.folder, meter, model, before));
        self
    }

    /// `is_secret`: the process is given secrets.
    pub(crate) fn new(
        folder: &Path,
        observer: Arc<dyn AttemptObserver>,
        progress: Progress,
        is_secret: bool,
    ) -> Self {
        let path = folder.join(LOG);
        // An old log was shown by a former engine; its last line is enough.
        let reader = LogReader::from_tail(&path, 1).unwrap_or_else(|_| LogReader::from_start(&path));
        let progress_file = ProgressFile::new(folder, !is_secret);
        let (folder, started, metered) = (folder.to_owned(), false, None);
        Self { observer, progress, reader, folder, started, metered, progress_file }
    }

    fn look(&mut self) {
        if !self.started
            && let Some(record) = ShimRecord::read(&self.folder)
        {
            self.started = true;
            self.observer.started_at(Timestamp(record.started_at));
        }
        if let Some(metered) = &mut self.metered {
            metered.look(&*self.observer);
        }
        if let Some(progress) = self.progress_file.look() {
            self.observer.progress(progress);
        }
        // Of a process that writes faster than this reads, only the end of the log is shown.
        let Ok(lines) = self.reader.skip(SHOWN_BYTES_MAX).and_then(|()| self.reader.read()) else { return };
        let shown = lines
            .iter()
            .rev()
            .filter(|line| line.source != LogSource::Supervisor && !line.text.trim().is_empty())
            .find_map(|line| match line.source {
                LogSource::Stdout => (self.progress)(&line.text),
                LogSource::Stderr | LogSource::Supervisor => Some(line.text.clone()),
            });
        if let Some(line) = shown {
            self.observer.line(line.trim_end());
        }
    }
}

/// Resolves with the folder's record. `request` is written unless the command has started already; from then on it may have
/// begun, which `begun` says to the caller.
pub(crate) async fn attach(
    shim: &ShimProgram,
    folder: &Path,
    request: &CommandRequest,
    handover: Option<&Handover>,
    mut watch: Option<Watch>,
    begun: &mut Begun,
) -> Result<ExitRecord, AttachError> {
    let mut starts = 0;
    let record = loop {
        if let Some(record) = read_exit(folder)? {
            break record;
        }
        if is_held(folder)? {
            *begun = Begun::Surely;
            watched(wait_for_holder(folder), &mut watch).await;
            continue;
        }
        if let Some(record) = end_of_removed(folder, *begun).await? {
            break record;
        }
        let has_started = has(folder, STARTED)?;
        // What has begun keeps its request, unless a power cut took it: who ends it reads there what is to be masked.
        if !has_started || !is_whole(&folder.join(REQUEST))? {
            write_request(folder, request)?;
        }
        *begun = Begun::Surely;
        starts += 1;
        let handover = handover.filter(|_| !has_started);
        let unable = match watched(start(shim, folder, handover, starts > 1), &mut watch).await {
            Ok(Some(code)) if code == i32::from(EXIT_NO_ROOM) => AttachError::NoRoom(last_complaint(folder)),
            Ok(Some(code)) if code == i32::from(EXIT_UNABLE) => AttachError::Unable(last_complaint(folder)),
            Ok(Some(code)) if code == i32::from(EXIT_HELD) => {
                starts -= 1;
                continue;
            }
            Ok(_) if starts >= STARTS_MAX => AttachError::Unable(last_complaint(folder)),
            Ok(_) => continue,
            Err(error) => error,
        };
        // It may have ended, or another supervisor may have begun, in the meantime.
        if let Some(record) = read_exit(folder)? {
            break record;
        }
        if is_held(folder)? {
            continue;
        }
        if let Some(record) = end_of_removed(folder, *begun).await? {
            break record;
        }
        if unable.says() == Says::NotBegun && has(folder, STARTED)? {
            break lost(folder, &unable.explained()).await;
        }
        return Err(unable);
    };
    if let Some(watch) = &mut watch {
        watch.look();
    }
    Ok(record)
}

/// The end of what may have begun in a folder that is gone: what became of it cannot be known, and running it again could be the
/// second time. What is left of it is ended. `None` where it did not begin, or the folder is there.
pub(super) async fn end_of_removed(folder: &Path, begun: Begun) -> Result<Option<ExitRecord>, AttachError> {
    if begun == Begun::Perhaps || has(folder, STARTED)? || has(folder, REQUEST)? {
        return Ok(None);
    }
    let killed = kill_of_removed(folder).await;
    let outcome = match has(folder, CANCEL)? {
        true => CommandOutcome::Cancelled,
        false => CommandOutcome::Lost {
            reason: format!("its folder {} is gone{}", folder.display(), left(killed)),
        },
    };
    Ok(Some(outcome.record()))
}

async fn kill_of_removed(folder: &Path) -> usize {
    let root = folder.to_owned();
    tokio::task::spawn_blocking(move || leftovers::kill_of_removed(&root)).await.unwrap_or_default()
}

/// What is said of processes that were killed.
fn left(killed: usize) -> String {
    if killed == 0 { String::new() } else { format!("; {killed} processes it left were killed") }
}

/// The end of a command that began and that cannot be supervised any more: what is left of it is ended, so
/// that nothing begins beside it.
async fn lost(folder: &Path, why: &str) -> ExitRecord {
    let (root, why) = (folder.to_owned(), why.to_owned());
    let killed = tokio::task::spawn_blocking(move || leftovers::kill(&root)).await.unwrap_or_default();
    let left = left(killed);
    CommandOutcome::Lost { reason: format!("its supervisor ended without a record, and {why}{left}") }
        .record()
}

/// Asks whatever is in the folder to end, and resolves when nothing of it is left. A folder that
/// nothing was started in is marked, so that nothing will be. The mark is left at once, before the
/// future is polled.
pub(crate) fn cancel(shim: ShimProgram, folder: PathBuf) -> impl Future<Output = ()> {
    if let Err(error) = mark_cancelled(&folder) {
        tracing::error!(folder = %folder.display(), %error, "could not leave the mark that cancels an attempt");
    }
    async move { settle(&shim, &folder).await }
}

fn mark_cancelled(folder: &Path) -> std::io::Result<()> {
    private_file::make_private(folder)?;
    std::fs::write(folder.join(CANCEL), "")
}

async fn settle(shim: &ShimProgram, folder: &Path) {
    let mut starts = 0;
    let mut is_said = false;
    loop {
        let error = match try_settle(shim, folder, &mut starts).await {
            Ok(is_settled) if is_settled => return,
            Ok(_) => continue,
            // A record that cannot be read: the attempt has ended, with an unknown outcome.
            Err(AttachError::Record { .. } | AttachError::Newer { .. }) => return,
            Err(error) => error,
        };
        // Nothing may begin in its place before it is known that it has ended.
        if !std::mem::replace(&mut is_said, true) {
            let (folder, error) = (folder.display(), error.explained());
            tracing::warn!(%folder, error, "whether a cancelled attempt has ended cannot be seen; it is looked again");
        }
        tokio::time::sleep(BLIND_PAUSE).await;
    }
}

/// One look; true when nothing of it is left.
async fn try_settle(shim: &ShimProgram, folder: &Path, starts: &mut u32) -> Result<bool, AttachError> {
    if read_exit(folder)?.is_some() {
        return Ok(true);
    }
    if is_held(folder)? {
        if !has(folder, CANCEL)? {
            // The first try to leave the mark failed, such as for want of room: try again.
            let _not_yet = mark_cancelled(folder);
        }
        ring(folder);
        // Rung again after a while: the supervisor may just be starting.
        let _late = tokio::time::timeout(WATCH_EVERY, wait_for_holder(folder)).await;
        return Ok(false);
    }
    if !has(folder, REQUEST)? {
        if !has(folder, STARTED)? {
            // Nothing began here, or the folder was removed and made again for the mark.
            kill_of_removed(folder).await;
        }
        return Ok(true);
    }
    if *starts < STARTS_MAX {
        if !has(folder, CANCEL)? {
            // Without the mark a supervisor would begin what is to end.
            let path = folder.join(CANCEL);
            mark_cancelled(folder).map_err(|source| AttachError::Look { path, source })?;
        }
        *starts += 1;
        let _settled = start(shim, folder, None, *starts > 1).await;
        return Ok(false);
    }
    if has(folder, STARTED)? {
        let _ended = lost(folder, "none can be started").await;
    }
    Ok(true)
}

/// Wakes the supervisor, if there is one.
fn ring(folder: &Path) {
    use rustix::fs::{Mode, OFlags, open};
    // Without a reader the FIFO does not open.
    if let Ok(wake) =
        open(folder.join(WAKE), OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
    {
        let _full = rustix::io::write(wake, b"!");
    }
}

async fn watched<T>(work: impl Future<Output = T>, watch: &mut Option<Watch>) -> T {
    let Some(watch) = watch else { return work.await };
    tokio::pin!(work);
    let mut pause = WATCH_FIRST;
    loop {
        match tokio::time::timeout(pause, &mut work).await {
            Ok(value) => return value,
            Err(_) => watch.look(),
        }
        pause = (pause * 2).min(WATCH_EVERY);
    }
}

/// Starts a supervisor and waits for it; it lives on when this future is dropped. One that is started `again` has a file for
/// what the system itself says of it: a supervisor complains there by itself.
async fn start(
    shim: &ShimProgram,
    folder: &Path,
    handover: Option<&Handover>,
    again: bool,
) -> Result<Option<i32>, AttachError> {
    let spawn = |source| AttachError::Spawn { program: shim.path().to_owned(), source };
    let errors = match again {
        true => Stdio::from(log::create(&folder.join(SHIM_ERRORS)).map_err(spawn)?),
        false => Stdio::null(),
    };
    let mut command = tokio::process::Command::new(shim.path());
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("EVERFOLD_") {
            command.env_remove(&variable);
        }
    }
    let mut child = command
        .arg0("everfold")
        .arg("shim")
        .arg(folder)
        .stdin(if handover.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .map_err(spawn)?;
    if let (Some(handover), Some(mut stdin)) = (handover, child.stdin.take()) {
        let text = serde_json::to_vec(handover).map_err(|error| spawn(error.into()))?;
        // A supervisor that ends before it has read them says why.
        let _refused = stdin.write_all(&text).await;
    }
    let status = child.wait().await.map_err(spawn)?;
    Ok(status.code())
}

/// The last line that the supervisor wrote to its errors.
fn last_complaint(folder: &Path) -> String {
    let complaints = std::fs::read_to_string(folder.join(SHIM_ERRORS)).unwrap_or_default();
    complaints.lines().next_back().unwrap_or("it ended without a word").to_owned()
}

fn write_request(folder: &Path, request: &CommandRequest) -> Result<(), AttachError> {
    let path = folder.join(REQUEST);
    let io = |source| AttachError::Io { path: path.clone(), source };
    let text = serde_json::to_vec(request).map_err(|error| io(error.into()))?;
    private_file::write_draft(&path, &text).map_err(io)
}

/// Whether a file holds JSON, or is not there.
fn is_whole(path: &Path) -> Result<bool, AttachError> {
    match if_there(regular::read(path)) {
        Ok(text) => Ok(text.is_none_or(|text| serde_json::from_slice::<serde_json::Value>(&text).is_ok())),
        Err(source) => Err(AttachError::Look { path: path.to_owned(), source }),
    }
}

/// Waits until the supervisor that holds the folder has ended, or may have.
async fn wait_for_holder(folder: &Path) {
    match ShimRecord::read(folder).and_then(|record| handle(&record)) {
        Some(handle) => {
            let _ended = handle.readable().await;
        }
        None => tokio::time::sleep(LOCK_PAUSE).await,
    }
}

#[cfg(target_os = "linux")]
#[expect(deprecated, reason = "sound for an `OwnedFd`, and its replacement is `unsafe`")]
fn handle(record: &ShimRecord) -> Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use crate::shim::os;
    let handle = pidfd_open(Pid::from_raw(record.shim.pid)?, PidfdFlags::NONBLOCK).ok()?;
    let is_same = record.boot_id == os::boot_id()
        && os::stat(record.shim.pid).is_some_and(|stat| stat.start_ticks == record.shim.start_ticks);
    if !is_same {
        return None;
    }
    tokio::io::unix::AsyncFd::with_interest(handle, tokio::io::Interest::READABLE).ok()
}

#[cfg(not(target_os = "linux"))]
fn handle(_record: &ShimRecord) -> Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    None
}

//! Runs the command and watches it to its end.
//!
//! Law: only the supervisor decides the time limit. It reads both pipes whatever happens to the
//! disk, so a command never blocks on its output.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use everfold_base::json::Hash;
use everfold_ports::LogSeal;
use everfold_system::os_error::is_shortage;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::process::{Pid, Signal};

use super::capture::Capture;
use super::children::Family;
use super::folder::{Folder, complain};
use super::handover::{Handover, MaskingEnd, mask_all};
use super::in_the_way::remove_folder;
use super::log::{LogSource, LogWriter, seal};
use super::os;
use super::protocol::{
    CommandOutcome, CommandRequest, ExitRecord, LOG, MARK_VARIABLE, PROTOCOL, STDOUT, ShimRecord, WAKE,
};
use super::wall_clock::now_ms;
use crate::process::environment::removed_here;
use crate::secret::{Mask, MaskStream};

/// How long an unfinished line waits for its end before it is logged as a piece.
const PIECE_AFTER: Duration = Duration::from_millis(150);
/// How often orphans are reaped.
const REAP_EVERY: Duration = Duration::from_secs(2);
/// How often the supervisor looks for a stop or an end where nothing can wake it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A command that ends within this time leaves no FIFO behind to wake its supervisor: that looks by itself meanwhile.
const BRIEF: Duration = Duration::from_millis(20);
/// The pause between tries to start the command while the system lacks memory, handles or room.
const BEGIN_EVERY: Duration = Duration::from_millis(200);
/// How long pipes that foreign processes hold open are read after the command and its descendants have ended.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// How long masking what the command left may take at least where it has a time limit, or was cancelled.
const MASKING_MIN: Duration = Duration::from_secs(10);
/// By how much a log may be larger than its limit and still be read to be sealed.
const LOG_EXCESS_MAX: u64 = 1024 * 1024 * 1024;

/// Runs the request's command; returns when nothing of it is left.
pub(crate) fn supervise(folder: &Folder, request: &CommandRequest, handover: &Handover) -> ExitRecord {
    if folder.is_cancelled() {
        return CommandOutcome::Cancelled.record();
    }
    if let Some(soft) = request.handles {
        os::limit_handles(soft);
    }
    let mask = handover.mask(request.redact.as_ref());
    let deadline = request.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
    let record = match begin(folder, request, handover, &mask) {
        Ok(Some(begun)) => Supervision::of(folder, request, begun).run(),
        Ok(None) => CommandOutcome::Cancelled.record(),
        Err(error) => {
            let missing = matches!(error.kind(), ErrorKind::NotFound);
            CommandOutcome::NotStarted { missing, reason: error.to_string() }.record()
        }
    };
    let masked = mask_what_is_left(folder, folder.root(), request, &mask, deadline);
    let outcome = match record.outcome {
        CommandOutcome::Exited { .. } | CommandOutcome::Signalled { .. } if masked.is_cut => {
            if folder.is_cancelled() { CommandOutcome::Cancelled } else { CommandOutcome::TimedOut }
        }
        outcome => outcome,
    };
    // Nothing writes to the log any more, and the record of the end is not written before what it speaks of is on the disk.
    folder.settle();
    let log = sealed(folder, request, record.log_lost_bytes)
        .inspect_err(|error| {
            complain(folder.name(), &format_args!("the log could not be sealed: {error}"));
        })
        .ok();
    let stdout_kept_bytes = match std::fs::symlink_metadata(folder.path(STDOUT)) {
        Ok(kept) => kept.is_file().then_some(kept.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(0),
        // The record says nothing of a file that the system does not let be seen now.
        Err(_unseen) => None,
    };
    let (unmasked, removed) = (masked.unmasked, masked.removed);
    ExitRecord { outcome, unmasked, removed, log, stdout_kept_bytes, ..record }
}

/// Masks what the command left, for as long as neither a cancel nor the time limit ends that; one that ended the command
/// already leaves [`MASKING_MIN`] for it.
pub(super) fn mask_what_is_left(
    folder: &Folder,
    root: &Path,
    request: &CommandRequest,
    mask: &Mask,
    deadline: Option<Instant>,
) -> MaskingEnd {
    let was_cancelled = folder.is_cancelled();
    let least = (was_cancelled || request.timeout_ms.is_some()).then(|| Instant::now() + MASKING_MIN);
    let until = deadline.max(least);
    let is_over =
        || !was_cancelled && folder.is_cancelled() || until.is_some_and(|until| Instant::now() >= until);
    let masked = mask_all(root, &request.cwd, &request.declared, mask, &is_over);
    for name in &masked.removed {
        complain(folder.name(), &format_args!("{name} was too large to be masked, and was removed"));
    }
    if masked.is_cut {
        complain(folder.name(), &"what could not be masked in time was removed");
    }
    masked
}

fn sealed(folder: &Folder, request: &CommandRequest, lost_bytes: u64) -> std::io::Result<LogSeal> {
    let log = folder.path(LOG);
    remove_folder(&log)?;
    let written = std::fs::metadata(&log).map_or(0, |about| about.len());
    if written > request.log_max_bytes.saturating_add(LOG_EXCESS_MAX) {
        let message = format!("the command made it {written} bytes long");
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, message));
    }
    // A command that says nothing has no log, and that is recorded.
    let empty = || LogSeal { hash: Hash::of(&[]), lines: 0, bytes: 0, lost_bytes };
    Ok(seal(&log, lost_bytes)?.unwrap_or_else(empty))
}

/// The FIFO by which others wake this process; where it cannot be made, it looks by itself.
fn make_wake(folder: &Folder) -> Option<OwnedFd> {
    let path = folder.path(WAKE);
    let _stays = remove_folder(&path);
    #[cfg(not(target_vendor = "apple"))]
    let _there = rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR);
    // Opened for both, so that it never ends when a writer goes.
    let wake = open(&path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // Who wakes it before it is there may have left a file in its place.
    let is_fifo = fstat(&wake).is_ok_and(|about| FileType::from_raw_mode(about.st_mode) == FileType::Fifo);
    is_fifo.then_some(wake)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StopCause {
    Timeout,
    Cancel,
}

struct Supervision<'a> {
    folder: &'a Folder,
    family: Family,
    pipes: Pipes,
    handle: Option<OwnedFd>,
    wake: Option<OwnedFd>,
    /// It goes on for longer than [`BRIEF`], so it can be woken, where the system lets it.
    is_settled: bool,
    deadline: Option<Instant>,
    grace: Duration,
    stop: Option<(StopCause, Instant)>,
    started_at: i64,
}

/// A running command, and the pipes that take its output.
struct StartedCommand {
    head: Pid,
    started_at: i64,
    pipes: Pipes,
}

/// Starts the command, as soon as the system has room for it; `None` when it was cancelled before.
fn begin(
    folder: &Folder,
    request: &CommandRequest,
    handover: &Handover,
    mask: &Mask,
) -> std::io::Result<Option<StartedCommand>> {
    let mut is_said = false;
    loop {
        let error = match try_begin(folder, request, handover, mask) {
            Err(error) if is_shortage(&error) => error,
            done => return done.map(Some),
        };
        if !std::mem::replace(&mut is_said, true) {
            complain(folder.name(), &format_args!("the command cannot begin yet: {error}"));
        }
        std::thread::sleep(BEGIN_EVERY);
        if folder.is_cancelled() {
            return Ok(None);
        }
    }
}

fn try_begin(
    folder: &Folder,
    request: &CommandRequest,
    handover: &Handover,
    mask: &Mask,
) -> std::io::Result<StartedCommand> {
    let capture = Capture::new(folder, request);
    let log = LogWriter::open(&folder.path(LOG), request.log_max_bytes)?;
    handover.write_files(folder.root())?;
    let mut child = spawn(folder, request, handover)?;
    let started_at = now_ms();
    let head = Pid::from_child(&child);
    let pipes = Pipes {
        stdout: child.stdout.take().map(|pipe| File::from(OwnedFd::from(pipe))),
        stderr: child.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe))),
        capture,
        log,
        masks: [mask.stream(), mask.stream()],
        buffer: vec![0; 64 * 1024],
    };
    let record = ShimRecord {
        protocol: PROTOCOL,
        boot_id: os::boot_id(),
        folder: folder.identity(),
        shim: os::process_ref(rustix::process::getpid().as_raw_nonzero().get()),
        command: os::process_ref(head.as_raw_nonzero().get()),
        started_at,
    };
    // Without it a later engine polls the lock instead, and finds survivors by their mark.
    let _full = folder.introduce(&record);
    Ok(StartedCommand { head, started_at, pipes })
}

impl<'a> Supervision<'a> {
    fn of(folder: &'a Folder, request: &CommandRequest, begun: StartedCommand) -> Self {
        let StartedCommand { head, started_at, pipes } = begun;
        Self {
            folder,
            family: Family { head },
            pipes,
            handle: handle(head),
            wake: None,
            is_settled: false,
            deadline: request.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms)),
            grace: Duration::from_millis(request.grace_ms),
            stop: None,
            started_at,
        }
    }

    fn run(&mut self) -> ExitRecord {
        let mut reaped_at = Instant::now();
        while !self.has_ended() {
            self.wait(self.pause());
            if !self.is_settled && reaped_at.elapsed() >= BRIEF {
                self.is_settled = true;
                self.wake = make_wake(self.folder);
            }
            self.check_stop();
            if reaped_at.elapsed() >= REAP_EVERY {
                self.family.reap_orphans();
                reaped_at = Instant::now();
            }
        }
        let (family, pipes) = (&self.family, &mut self.pipes);
        let left_over = family.end_leftovers(|pause| pipes.drain_for(pause));
        pipes.drain_rest();
        let status = family.reap_head();
        let outcome = match (self.stop, status) {
            (Some((StopCause::Timeout, _)), _) => CommandOutcome::TimedOut,
            (Some((StopCause::Cancel, _)), _) => CommandOutcome::Cancelled,
            (None, Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => CommandOutcome::Exited { code },
                (None, signal) => CommandOutcome::Signalled { signal: signal.unwrap_or(0) },
            },
            (None, None) => CommandOutcome::Lost { reason: "its exit status could not be read".to_owned() },
        };
        self.pipes.capture.finish(self.folder);
        // Where that had to wait for room there is some now. Else the record alone says what is missing.
        let _is_said = self.pipes.log.report_lost();
        ExitRecord {
            started_at: self.started_at,
            stdout_bytes: self.pipes.capture.seen_bytes,
            stdout_truncated: self.pipes.capture.truncated,
            log_lost_bytes: self.pipes.log.lost_bytes,
            left_over,
            ..outcome.record()
        }
    }

    /// Whether the command has ended; it stays a zombie, so that its group keeps its number.
    fn has_ended(&self) -> bool {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let looked = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(self.family.head), options));
        !matches!(looked, Ok(None))
    }

    fn pause(&self) -> Duration {
        let now = Instant::now();
        let next = match (self.stop, self.deadline) {
            (Some((_, kill_at)), _) => Some(kill_at),
            (None, deadline) => deadline,
        };
        let mut pause = next.map_or(REAP_EVERY, |at| at.saturating_duration_since(now).min(REAP_EVERY));
        if self.pipes.log.has_pending() {
            pause = pause.min(PIECE_AFTER);
        }
        if !self.is_settled {
            pause = pause.min(BRIEF);
        } else if self.handle.is_none() || self.wake.is_none() {
            pause = pause.min(LOOK_EVERY);
        }
        pause
    }

    fn wait(&mut self, pause: Duration) {
        let mut others: Vec<&OwnedFd> = Vec::new();
        others.extend(&self.handle);
        others.extend(&self.wake);
        self.pipes.read(pause, &others);
        if let Some(wake) = &self.wake {
            let mut wakes = [0; 64];
            while rustix::io::read(wake, &mut wakes).is_ok_and(|count| count > 0) {}
        }
    }

    fn check_stop(&mut self) {
        let now = Instant::now();
        match self.stop {
            None => {
                let reason = if self.folder.is_cancelled() {
                    StopCause::Cancel
                } else if self.deadline.is_some_and(|deadline| now >= deadline) && !self.has_ended() {
                    // One that ended while this process was stopped has kept its limit, as far as can be seen.
                    StopCause::Timeout
                } else {
                    return;
                };
                self.family.signal_group(Signal::TERM);
                self.stop = Some((reason, now + self.grace));
            }
            Some((reason, kill_at)) if now >= kill_at => {
                self.family.signal_all(Signal::KILL);
                self.stop = Some((reason, now + LOOK_EVERY));
            }
            Some(_) => {}
        }
    }
}

#[cfg(target_os = "linux")]
fn handle(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn handle(_pid: Pid) -> Option<OwnedFd> {
    None
}

fn spawn(folder: &Folder, request: &CommandRequest, handover: &Handover) -> std::io::Result<Child> {
    let (program, arguments) = request
        .argv
        .split_first()
        .ok_or_else(|| std::io::Error::new(ErrorKind::InvalidInput, "the command is empty"))?;
    if !request.cwd.is_dir() {
        let message = format!("the working folder {} does not exist", request.cwd.display());
        return Err(std::io::Error::new(ErrorKind::NotADirectory, message));
    }
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&request.cwd).process_group(0);
    for name in removed_here(&request.env_remove) {
        command.env_remove(name);
    }
    command.envs(&request.env).envs(&handover.env).env(MARK_VARIABLE, folder.name());
    match &request.stdin {
        Some(path) => command.stdin(File::open(path)?),
        None => command.stdin(Stdio::null()),
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Both pipes, and where their content goes.
struct Pipes {
    stdout: Option<File>,
    stderr: Option<File>,
    capture: Capture,
    log: LogWriter,
    /// Of standard output and of standard error.
    masks: [MaskStream; 2],
    buffer: Vec<u8>,
}

impl Pipes {
    /// Waits until something can be read, one of `others` is ready, or the pause is over, and reads.
    fn read(&mut self, pause: Duration, others: &[&OwnedFd]) {
        let pipes: Vec<(LogSource, &File)> =
            [(LogSource::Stdout, &self.stdout), (LogSource::Stderr, &self.stderr)]
                .into_iter()
                .filter_map(|(source, pipe)| Some((source, pipe.as_ref()?)))
                .collect();
        let mut fds: Vec<PollFd<'_>> = pipes
            .iter()
            .map(|(_, pipe)| pipe.as_fd())
            .chain(others.iter().map(|fd| fd.as_fd()))
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        let timeout = Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(pause.subsec_nanos()),
        };
        let count = poll(&mut fds, Some(&timeout)).unwrap_or(0);
        let ready: Vec<LogSource> = pipes
            .iter()
            .zip(&fds)
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|((source, _), _)| *source)
            .collect();
        if count == 0 {
            self.log.flush(); // Nothing came for a while: an unfinished line may be a prompt.
        }
        for source in ready {
            self.read_one(source);
        }
    }

    fn read_one(&mut self, source: LogSource) {
        let pipe = if source == LogSource::Stderr { &mut self.stderr } else { &mut self.stdout };
        let Some(file) = pipe.as_mut() else { return };
        match file.read(&mut self.buffer) {
            Ok(0) => *pipe = None,
            Ok(count) => {
                let shown = self.masks[usize::from(source == LogSource::Stderr)].take(&self.buffer[..count]);
                self.keep(source, &shown);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => *pipe = None,
        }
    }

    /// Takes what may be shown.
    fn keep(&mut self, source: LogSource, shown: &[u8]) {
        self.log.take(source, shown);
        if source == LogSource::Stdout {
            self.capture.take(shown);
        }
    }

    fn drain_for(&mut self, pause: Duration) {
        if self.is_open() {
            self.read(pause, &[]);
        } else {
            std::thread::sleep(pause);
        }
    }

    /// Reads what is left in the pipes after the command and its descendants have ended.
    fn drain_rest(&mut self) {
        let until = Instant::now() + DRAIN_LIMIT;
        while self.is_open() && Instant::now() < until {
            self.read(until.saturating_duration_since(Instant::now()), &[]);
        }
        for source in [LogSource::Stdout, LogSource::Stderr] {
            let shown = self.masks[usize::from(source == LogSource::Stderr)].finish();
            self.keep(source, &shown);
        }
        self.log.finish();
    }

    fn is_open(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some()
    }
}

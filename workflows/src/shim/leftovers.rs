//! What a supervisor left running: one that has died, or one whose folder was removed.
//!
//! Law: nothing is signalled that cannot be shown to belong to the folder. A process is shown to by the folder's mark
//! in its environment, or as the command that the supervisor recorded (its number and its start, in the recorded boot);
//! others are in the session of such a process, or below a living supervisor that names the folder. The number of a session alone
//! shows nothing: once all of a session has ended, another one may have it, such as after the restart of a container.
//! What a copy of the folder records is the original's, which may live.
//!
//! Called before the attempt is declared lost: with the folder's lock held, or where the folder is gone.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::os::{self, Stat};
use super::protocol::{FolderRef, MARK_VARIABLE, ShimRecord};

const LIMIT: Duration = Duration::from_secs(10);
/// The pause between looks at what has not ended yet.
const PAUSE: Duration = Duration::from_millis(5);

/// Kills everything that a dead supervisor of the folder left; gives how many processes that were.
pub(crate) fn kill(folder: &Path) -> usize {
    let here = std::fs::File::open(folder).ok().and_then(|folder| FolderRef::of(&folder));
    let record = ShimRecord::read(folder)
        .filter(|record| record.boot_id == os::boot_id())
        .filter(|record| record.folder.is_none() || record.folder == here);
    let mut left = DeadSupervisor { record, mark: mark(folder), is_session_shown: false };
    kill_all(|processes| (left.of(processes), false))
}

/// Kills everything that belongs to a folder that is gone. Its supervisor may live, and then ends when nothing is left
/// below it: that is waited for.
pub(crate) fn kill_of_removed(folder: &Path) -> usize {
    let mark = mark(folder);
    kill_all(|processes| {
        let supervisors: Vec<i32> = processes
            .iter()
            .filter(|stat| stat.session == stat.pid && !is_own(stat))
            .filter(|stat| supervised_by(stat.pid).is_some_and(|named| named == folder))
            .map(|stat| stat.pid)
            .collect();
        let belongs = |stat: &&Stat| {
            let is_below = supervisors.contains(&stat.parent) || supervisors.contains(&stat.session);
            !supervisors.contains(&stat.pid) && (is_below || is_marked(stat.pid, &mark))
        };
        (processes.iter().filter(belongs).copied().collect(), !supervisors.is_empty())
    })
}

/// The folder that a supervisor names in its arguments; `None` where the process is no supervisor.
pub(crate) fn supervised_by(pid: i32) -> Option<PathBuf> {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
    match arguments.as_slice() {
        [_, b"shim", folder, ..] => Some(PathBuf::from(OsStr::from_bytes(folder))),
        _ => None,
    }
}

/// Kills what `find` finds among all processes, until it finds nothing and has nothing to wait for; gives how many processes that were.
fn kill_all(mut find: impl FnMut(&[Stat]) -> (Vec<Stat>, bool)) -> usize {
    let mut killed = std::collections::HashSet::new();
    let started = Instant::now();
    loop {
        let (mut found, waits) = find(&os::all());
        found.retain(|stat| !has_ended(stat) && !is_own(stat));
        if (found.is_empty() && !waits) || started.elapsed() > LIMIT {
            return killed.len();
        }
        for stat in found {
            signal(&stat);
            killed.insert((stat.pid, stat.start_ticks));
        }
        std::thread::sleep(PAUSE);
    }
}

/// What a supervisor left that has ended.
struct DeadSupervisor {
    record: Option<ShimRecord>,
    mark: String,
    /// A process was found in the session of the supervisor that is shown to belong to the folder. As long as anything of that
    /// session lives the system gives its number to no other.
    is_session_shown: bool,
}

impl DeadSupervisor {
    fn of(&mut self, processes: &[Stat]) -> Vec<Stat> {
        let session = self.record.as_ref().map(|record| record.shim);
        // A leader alive under this number is another process, and its session another session.
        let session = session
            .filter(|leader| os::stat(leader.pid).is_none_or(|now| now.start_ticks == leader.start_ticks));
        let in_session = |stat: &Stat| {
            session.is_some_and(|leader| stat.session == leader.pid && stat.start_ticks >= leader.start_ticks)
        };
        let shown: Vec<bool> = processes.iter().map(|stat| self.is_shown(stat)).collect();
        self.is_session_shown |= processes.iter().zip(&shown).any(|(stat, shown)| *shown && in_session(stat));
        let belongs = |(stat, shown): &(&Stat, bool)| *shown || (self.is_session_shown && in_session(stat));
        processes.iter().zip(shown).filter(belongs).map(|(stat, _)| *stat).collect()
    }

    /// Whether it carries the mark, or is the command that was recorded. One that has ended and that no process has waited for
    /// shows its session still.
    fn is_shown(&self, stat: &Stat) -> bool {
        let is_command = self.record.as_ref().is_some_and(|record| {
            stat.start_ticks > 0
                && (record.command.pid, record.command.start_ticks) == (stat.pid, stat.start_ticks)
        });
        is_command || is_marked(stat.pid, &self.mark)
    }
}

fn has_ended(stat: &Stat) -> bool {
    matches!(stat.state, b'Z' | b'X')
}

fn is_own(stat: &Stat) -> bool {
    stat.pid == rustix::process::getpid().as_raw_nonzero().get()
}

fn mark(folder: &Path) -> String {
    format!("{MARK_VARIABLE}={}", folder.display())
}

fn is_marked(pid: i32, mark: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()))
}

/// Through a handle that pins the process, its start compared after the handle was had.
#[cfg(target_os = "linux")]
fn signal(stat: &Stat) {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
    let Some(pid) = Pid::from_raw(stat.pid) else { return };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => {
            if os::stat(stat.pid).is_some_and(|now| now.start_ticks == stat.start_ticks) {
                let _gone = pidfd_send_signal(handle, Signal::KILL);
            }
        }
        Err(rustix::io::Errno::SRCH) => {}
        Err(_) => drop(kill_process(pid, Signal::KILL)),
    }
}

#[cfg(not(target_os = "linux"))]
fn signal(stat: &Stat) {
    if let Some(pid) = Pid::from_raw(stat.pid) {
        let _gone = kill_process(pid, Signal::KILL);
    }
}

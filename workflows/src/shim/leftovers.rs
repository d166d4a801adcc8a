//! What a dead supervisor left running.
//!
//! Law: nothing is signalled that cannot be shown to belong to the folder: it carries the folder's
//! mark in its environment, or it is in the session that the recorded supervisor led, in the
//! recorded boot. What a copy of the folder records is the original's, which may live.
//!
//! Called with the folder's lock held, before the attempt is declared lost.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::os::{self, Stat};
use super::protocol::{FolderRef, MARK_VARIABLE, SHIM, ShimRecord};
use crate::regular;

const LIMIT: Duration = Duration::from_secs(10);

/// Kills everything that still belongs to the folder; gives how many processes that were.
pub(crate) fn kill(folder: &Path) -> usize {
    let here = std::fs::File::open(folder).ok().and_then(|folder| FolderRef::of(&folder));
    let record = regular::read(&folder.join(SHIM))
        .ok()
        .and_then(|text| serde_json::from_slice::<ShimRecord>(&text).ok())
        .filter(|record| record.boot_id == os::boot_id())
        .filter(|record| record.folder.is_none() || record.folder == here);
    let mark = format!("{MARK_VARIABLE}={}", folder.display());
    let mut killed = std::collections::HashSet::new();
    let started = Instant::now();
    loop {
        let found: Vec<Stat> =
            os::all().into_iter().filter(|stat| belongs(stat, record.as_ref(), &mark)).collect();
        if found.is_empty() || started.elapsed() > LIMIT {
            return killed.len();
        }
        for stat in found {
            signal(&stat);
            killed.insert((stat.pid, stat.start_ticks));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn belongs(stat: &Stat, record: Option<&ShimRecord>, mark: &str) -> bool {
    if matches!(stat.state, b'Z' | b'X') || stat.pid == rustix::process::getpid().as_raw_nonzero().get() {
        return false;
    }
    let in_session = record.is_some_and(|record| {
        let leader = record.shim;
        // A leader alive under this number is another process, and its session another session.
        stat.session == leader.pid
            && stat.start_ticks >= leader.start_ticks
            && os::stat(leader.pid).is_none_or(|now| now.start_ticks == leader.start_ticks)
    });
    in_session || is_marked(stat.pid, mark)
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

//! What the supervisor asks of the operating system, and how a process is distinguished from a later
//! one with the same number.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};
use signal_hook::flag;

use super::protocol::ProcessRef;

/// Leaves the caller's session and becomes the one that orphans below are given to.
///
/// Both may fail without harm: a leader of a group cannot make a session, and only Linux knows the
/// second.
pub(crate) fn detach() {
    let _session = rustix::process::setsid();
    #[cfg(target_os = "linux")]
    let _reaper = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// The signals that a system sends to everything when it stops, or at the limits of a process (file size, time of the
/// processor), and that would end this process.
const OUTLIVED: [i32; 8] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ];

/// Lets signals pass that ask for an end: the command gets its own, and how it ended is still to be written
/// down. Handlers, because what is ignored the command would ignore, too.
pub(crate) fn outlive_signals() -> std::io::Result<()> {
    let never_read = Arc::new(AtomicBool::new(false));
    OUTLIVED.iter().try_for_each(|signal| flag::register(*signal, Arc::clone(&never_read)).map(drop))
}

/// Sets how many files this process, and what it starts, may have open; what is not allowed is left as it is.
pub(crate) fn limit_handles(soft: u64) {
    let limits = getrlimit(Resource::Nofile);
    if limits.current.is_none_or(|current| current > soft) {
        let _as_it_is = setrlimit(Resource::Nofile, Rlimit { current: Some(soft), ..limits });
    }
}

/// The identity of this boot; empty where the system does not tell.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    pub(crate) state: u8,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    pub(crate) start_ticks: u64,
}

/// Reads a process's line; `None` when there is no such process.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(line: &str) -> Option<Stat> {
    // The name in parentheses may hold spaces and parentheses: what counts comes after the last.
    let (pid, rest) = (line.split(' ').next()?, &line[line.rfind(')')? + 1..]);
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse().ok();
    Some(Stat {
        pid: pid.parse().ok()?,
        state: *fields.first()?.as_bytes().first()?,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// A process by number and start; the start is 0 where the system does not tell it.
pub(crate) fn process_ref(pid: i32) -> ProcessRef {
    ProcessRef { pid, start_ticks: stat(pid).map_or(0, |stat| stat.start_ticks) }
}

/// Every process there is.
pub(crate) fn all() -> Vec<Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// The children of this process, by number.
pub(crate) fn children() -> Vec<i32> {
    let me = rustix::process::getpid().as_raw_nonzero().get();
    match std::fs::read_to_string(format!("/proc/self/task/{me}/children")) {
        Ok(list) => list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        Err(_) => all().into_iter().filter(|stat| stat.parent == me).map(|stat| stat.pid).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let line = "4711 (a) b (c) S 1 4711 4700 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3";
        let expected =
            Stat { pid: 4711, state: b'S', parent: 1, group: 4711, session: 4700, start_ticks: 987_654 };
        assert_eq!(parse_stat(line), Some(expected));
    }
}

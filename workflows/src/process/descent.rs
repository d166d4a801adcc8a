//! Which attempt a process belongs to, as the kernel tells it.
//!
//! A supervisor is the process that orphans below it are given to, so whatever a command forks, detaches
//! or makes a leader of a session stays below its supervisor for as long as that lives. Descent from
//! a supervisor is judged by that alone: names, variables and folders that a process claims count only against it.
//!
//! Where the system lists no processes under `/proc`, no process is found to belong to an attempt.

use std::path::{Path, PathBuf};

use super::orphan_processes::{folders_of, lies_in};
use crate::shim::os;

/// The most parents that are looked at.
const PARENTS_MAX: usize = 4_096;

/// How often the walk begins again where processes end meanwhile.
const TRIES: usize = 3;

/// Where a process comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Descent {
    /// From nothing that was started for a run here.
    Outside,
    /// From the attempt, or the probe of a gate, in this folder.
    Attempt(PathBuf),
    /// From this process.
    Own,
    /// It is gone: its descent cannot be known.
    Gone,
}

/// Where the process `pid` comes from, as far as the attempts in `attempts` and this process are concerned.
#[must_use]
pub fn descent(pid: i32, attempts: &Path) -> Descent {
    // A process that this one's part of the system does not name is none of its descendants.
    if cfg!(not(target_os = "linux")) || pid <= 0 {
        return Descent::Outside;
    }
    let attempts = attempts.canonicalize().ok();
    // A parent that ends meanwhile hands its child to another one, so the walk begins again.
    (0..TRIES).find_map(|_| walk_up(pid, attempts.as_deref())).unwrap_or(Descent::Gone)
}

/// `None`: it, or one of its parents, ended meanwhile.
fn walk_up(pid: i32, attempts: Option<&Path>) -> Option<Descent> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let (mut at, mut is_below) = (pid, false);
    for _ in 0..PARENTS_MAX {
        let stat = os::stat(at)?;
        if let Some(folder) = attempts.and_then(|attempts| named_in(at, attempts)) {
            return Some(Descent::Attempt(folder));
        }
        if stat.parent <= 0 {
            return Some(if is_below { Descent::Own } else { Descent::Outside });
        }
        at = stat.parent;
        is_below |= at == own;
    }
    None
}

/// The folder in `attempts` that a supervisor, or one of its processes, names.
fn named_in(pid: i32, attempts: &Path) -> Option<PathBuf> {
    let real = folders_of(pid).filter_map(|folder| folder.canonicalize().ok());
    real.into_iter().find(|folder| lies_in(folder, attempts))
}

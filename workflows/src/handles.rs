//! How many files this process, and what it starts, may have open.
//!
//! Law: a command has the limit that it would have without an engine. Programs that close every number up to
//! it, or put it into a table, would otherwise be slow where the engine is wide.
//!
//! The command line calls [`raise`] before anything else; requests to supervisors name [`former`].

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The highest limit that an engine asks for.
const HANDLES_MAX: u64 = 1 << 18;

/// The soft limit that this process began with, where it raised it.
static FORMER: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit of open files to the hard one; gives what it is now.
pub fn raise() -> u64 {
    let limits = getrlimit(Resource::Nofile);
    let (now, wanted) =
        (limits.current.unwrap_or(u64::MAX), limits.maximum.unwrap_or(u64::MAX).min(HANDLES_MAX));
    if now >= wanted || setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limits }).is_err() {
        return now;
    }
    let _raised_before = FORMER.set(now);
    wanted
}

/// How many files this process may have open.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// What a command is given instead of this process's limit; `None`: they are the same.
#[must_use]
pub fn former() -> Option<u64> {
    FORMER.get().copied()
}

/// What the store, the sockets and the pipes of a start need beside the processes.
const KEPT: u64 = 128;
/// What one process in progress needs at most: a handle on it and on its supervisor, its log, the pipes of
/// its start.
const PER_PROCESS: u64 = 6;

/// A number of processes at once, as far as there are handles for them. Commands and gates share these.
#[must_use]
pub fn bounded(wanted: usize, setting: &str) -> usize {
    let fits = fits(limit());
    if wanted > fits {
        tracing::warn!(
            setting,
            wanted,
            fits,
            "fewer processes are started at once than the settings allow: raise the limit of open files (`ulimit -n`, `LimitNOFILE`)"
        );
    }
    wanted.min(fits)
}

fn fits(handles: u64) -> usize {
    usize::try_from(handles.saturating_sub(KEPT) / (2 * PER_PROCESS)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_11_as_many_processes_as_there_are_handles_for_and_the_usual_limit_bounds_nothing() {
        assert_eq!([0, 128, 256, 1_024, u64::MAX].map(fits)[..3], [1, 1, 10]);
        assert!(fits(1_024) >= 64, "the default of `limits.processes`");
        assert!(fits(u64::MAX) > 1_000_000);
    }
}

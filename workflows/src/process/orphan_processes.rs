//! Finds the folders in which processes are at work.
//!
//! The list of processes only says where to look: a supervisor names its folder in its arguments, and
//! what it started carries the folder in its environment. That costs as much as there are processes,
//! not as there were attempts. What counts is the folder: its lock is held, or something was started
//! there and has no record of its end.
//!
//! Where the system lists no processes under `/proc`, none is found, and the time limit that each
//! supervisor keeps ends them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use everfold_ports::Survivors;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::attach::cancel;
use super::attempt_folder::is_held;
use super::setup::Processes;
use crate::shim::leftovers;
use crate::shim::os;
use crate::shim::protocol::{EXIT, MARK_VARIABLE, REQUEST, STARTED};

/// Finds supervised processes again.
#[derive(Clone)]
pub struct ProcessSurvivors {
    processes: Processes,
}

impl ProcessSurvivors {
    /// Finds what these supervised.
    #[must_use]
    pub fn new(processes: Processes) -> Self {
        Self { processes }
    }
}

impl Survivors for ProcessSurvivors {
    fn living(&self, attempts: PathBuf) -> BoxFuture<'static, Vec<PathBuf>> {
        async move { tokio::task::spawn_blocking(move || living(&attempts)).await.unwrap_or_default() }
            .boxed()
    }

    fn end(&self, folder: PathBuf) -> BoxFuture<'static, ()> {
        cancel(self.processes.shim.clone(), folder).boxed()
    }
}

fn living(attempts: &Path) -> Vec<PathBuf> {
    // The same folder may have been reached by another path then.
    let attempts = match attempts.canonicalize() {
        Ok(attempts) => attempts,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                let folder = attempts.display();
                tracing::warn!(%folder, %error, "what a former engine left at work cannot be looked for; the time limits end it");
            }
            return Vec::new();
        }
    };
    let named: BTreeSet<PathBuf> = os::all().into_iter().flat_map(|stat| folders_of(stat.pid)).collect();
    let real = named.iter().filter_map(|folder| folder.canonicalize().ok());
    real.filter(|folder| lies_in(folder, &attempts) && is_at_work(folder)).collect()
}

/// The folders that a process names.
pub(super) fn folders_of(pid: i32) -> impl Iterator<Item = PathBuf> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mark = environ
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(MARK_VARIABLE.as_bytes())?.strip_prefix(b"=").map(path));
    leftovers::supervised_by(pid).into_iter().chain(mark)
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// `attempts/RUN/FOLDER`, and nothing deeper.
pub(super) fn lies_in(folder: &Path, attempts: &Path) -> bool {
    folder.parent().and_then(Path::parent) == Some(attempts)
}

fn is_at_work(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    // Where that cannot be seen it counts as at work: it is only asked whether its run wants it.
    !has(EXIT) && has(REQUEST) && (is_held(folder).unwrap_or(true) || has(STARTED))
}

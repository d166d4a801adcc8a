//! Gits of an owner of a data folder that was killed: they live on, and would act on what the next owner begins.
//!
//! Law: each git that a process calls is marked with the data folders that the process owns. A folder has one owner, so a
//! git with the folder's mark that this process did not start is a former owner's. The owner waits for it, asks it to end, so
//! that it takes its locks away, and kills it, before the owner begins anything.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use everfold_system::clock::Stopwatch;
use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process_group};

use crate::shim::os;

/// The variable by which a git is recognised: the devices and inodes of data folders, as `dev:ino,dev:ino`.
pub(super) const MARK: &str = "EVERFOLD_GIT_OF";

/// How long a former owner's git may go on, and then how long what was asked to end may take.
const ENDS_BY_ITSELF: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_secs(5);
/// How often the owner looks whether they are gone.
const PAUSE: Duration = Duration::from_millis(10);

/// The folders that this process owns.
static OWNED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// While it is there, the gits of this process are marked with a data folder.
#[derive(Debug)]
pub struct MarkedGits(Option<String>);

impl MarkedGits {
    /// Marks the gits of this process, which owns the folder from now on, when those of a former owner are gone.
    pub async fn of(folder: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let Ok(folder) = std::fs::metadata(folder) else { return Self(None) };
        let mark = format!("{}:{}", folder.dev(), folder.ino());
        end(&mark).await;
        OWNED.lock().unwrap_or_else(PoisonError::into_inner).insert(mark.clone());
        Self(Some(mark))
    }
}

impl Drop for MarkedGits {
    fn drop(&mut self) {
        if let Some(mark) = &self.0 {
            OWNED.lock().unwrap_or_else(PoisonError::into_inner).remove(mark);
        }
    }
}

/// The value of [`MARK`] of a git that is called now.
pub(super) fn mark() -> String {
    let owned = OWNED.lock().unwrap_or_else(PoisonError::into_inner);
    owned.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

/// Waits until no git of a former owner is left.
async fn end(mark: &str) {
    let found = groups(mark).len();
    if found == 0 {
        return;
    }
    tracing::info!(gits = found, "gits of a former owner of the folder, which was killed, are waited for");
    for (signal, span) in [(None, ENDS_BY_ITSELF), (Some(Signal::TERM), GRACE), (Some(Signal::KILL), GRACE)] {
        let since = Stopwatch::start();
        if let Some(signal) = signal {
            for group in groups(mark).into_iter().filter_map(Pid::from_raw) {
                let _gone = kill_process_group(group, signal);
            }
        }
        while since.elapsed() < span {
            if groups(mark).is_empty() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    tracing::error!("a git of a former owner of the folder lives on, and nothing ends it");
}

/// The groups of processes in which such a git lives.
fn groups(mark: &str) -> BTreeSet<i32> {
    let [own, own_group] = [getpid(), getpgrp()].map(|own| own.as_raw_nonzero().get());
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeSet::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let living = numbers.filter(|pid| is_marked(*pid, mark)).filter_map(os::stat);
    let groups = living.filter(|stat| !matches!(stat.state, b'Z' | b'X')).map(|stat| stat.group);
    // A git that this process called leads the group of what it started.
    let is_own = |leader: i32| leader == own_group || os::stat(leader).is_some_and(|stat| stat.parent == own);
    groups.filter(|group| !is_own(*group)).collect()
}

/// Whether a process is a git with this mark.
fn is_marked(pid: i32, mark: &str) -> bool {
    let is_git =
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("git"));
    is_git && {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| {
            let marks = variable.strip_prefix(MARK.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            marks.is_some_and(|marks| marks.split(|byte| *byte == b',').any(|one| one == mark.as_bytes()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// A git that a shell started which is gone, as one of an engine that was killed.
    fn orphan(folder: &Path, mark: &str, script: &str) -> i32 {
        let git = folder.join("git");
        std::fs::write(&git, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&git, mode).unwrap();
        let start = format!("{} </dev/null >/dev/null 2>&1 & echo $!", git.display());
        let mut shell = Command::new("sh");
        shell.args(["-c", &start]).env(MARK, mark).process_group(0).stdin(Stdio::null());
        let output = shell.output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    fn lives(pid: i32) -> bool {
        os::stat(pid).is_some_and(|stat| !matches!(stat.state, b'Z' | b'X'))
    }

    async fn until_marked(mark: &str) {
        for _ in 0..3_000 {
            if !groups(mark).is_empty() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("it is not found");
    }

    /// It went on beside the next owner's, and took away what that one's work had written.
    #[tokio::test]
    async fn a_git_of_a_killed_owner_is_waited_for_and_then_ended() {
        let folder = tempfile::tempdir().unwrap();
        let done = folder.path().join("done");
        let short = orphan(folder.path(), "7:1,7:2", &format!("sleep 0.5; touch {}", done.display()));
        until_marked("7:2").await;
        end("7:2").await;
        assert!(done.exists() && !lives(short), "it came to its end");
        let other = tempfile::tempdir().unwrap();
        let long = orphan(other.path(), "7:3", "while :; do sleep 0.1; done");
        until_marked("7:3").await;
        end("7:4").await;
        assert!(lives(long), "it is of another folder");
        end("7:3").await;
        assert!(!lives(long));
    }

    #[tokio::test]
    async fn gits_are_marked_with_the_folders_that_are_owned_now() {
        let folder = tempfile::tempdir().unwrap();
        let owned = MarkedGits::of(folder.path()).await;
        let own = owned.0.clone().unwrap();
        assert!(mark().split(',').any(|one| one == own), "{}", mark());
        drop(owned);
        assert!(!mark().split(',').any(|one| one == own), "{}", mark());
    }
}

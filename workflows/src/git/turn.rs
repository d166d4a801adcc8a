//! One change of a repository's worktrees at a time.
//!
//! Law: a process that changes them holds the lock of the repository's git folder: also another engine of this machine,
//! over another data folder. Two that made worktrees at once would take each other's unfinished records for
//! what a crash left.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::sync::OwnedMutexGuard;

use super::error::TIME_LIMIT;

/// Folders whose locks are remembered before unused ones are forgotten.
const LOCKS_MAX: usize = 64;
/// The pause before another engine's lock is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// The locks of folders in this process.
#[derive(Clone, Default)]
pub(super) struct FolderLocks(Arc<Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>>);

impl FolderLocks {
    pub(super) fn lock(&self, folder: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.len() >= LOCKS_MAX {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        locks.entry(folder.to_owned()).or_default().clone()
    }
}

/// The locks of repositories, by their git folders.
#[derive(Clone, Default)]
pub(super) struct RepositoryTurns(FolderLocks);

/// The repository's worktrees may be changed for as long as this lives.
pub(super) struct RepositoryTurn {
    _of_this_process: OwnedMutexGuard<()>,
    /// `None`: the file system knows no such locks.
    _of_this_machine: Option<File>,
}

impl RepositoryTurns {
    /// Waits for the turn.
    ///
    /// # Errors
    /// The folder cannot be opened, or another engine has held the lock for longer than any call of git takes.
    pub(super) async fn take(&self, common_dir: &Path) -> std::io::Result<RepositoryTurn> {
        let of_this_process = self.0.lock(common_dir).lock_owned().await;
        let file = File::open(common_dir)?;
        let began = Instant::now();
        let of_this_machine = loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break Some(file),
                Err(Errno::WOULDBLOCK) if began.elapsed() > TIME_LIMIT => {
                    let message =
                        "another engine has been changing the worktrees of the repository for too long";
                    return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, message));
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    tracing::debug!(folder = %common_dir.display(), %error, "the folder cannot be locked");
                    break None;
                }
            }
        };
        Ok(RepositoryTurn { _of_this_process: of_this_process, _of_this_machine: of_this_machine })
    }
}

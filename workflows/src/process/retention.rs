//! The limits of attempt folders: how old they may become, and how many there may be.
//!
//! Law: only folders of attempts and probes whose run has ended are removed, whole, the oldest first, and never one that a
//! supervisor holds. What is no such folder stays: files, links, folders of other names, those of runs that are not known.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use everfold_base::id::RunId;
use everfold_base::time::Timestamp;

use super::attempt_folder::is_held;
use crate::settings::AttemptLimits;
use crate::shim::protocol::{EXIT, LOG};

/// What a folder is called from the moment at which it is to be removed: a crash in between leaves that name.
const GONE: &str = ".gone-";

/// A folder that may be removed.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct EndedFolder {
    ended_at: i64,
    path: PathBuf,
}

/// The runs of which there are folders.
///
/// # Errors
/// The folder of all attempts cannot be read; without one there are none.
pub fn runs_with_attempts(all_attempts: &Path) -> std::io::Result<Vec<RunId>> {
    let folders = folders_in(all_attempts)?;
    Ok(folders.iter().filter_map(|folder| folder.file_name()?.to_str()?.parse().ok()).collect())
}

/// Removes the folders that are over the limits; gives how many. `ended` are the runs that have ended. What cannot be
/// looked at or removed stays, and the log says so.
pub fn remove_old_attempts(
    all_attempts: &Path,
    ended: &[RunId],
    limits: AttemptLimits,
    now: Timestamp,
) -> u64 {
    let oldest = now.0.saturating_sub(i64::try_from(limits.keep.as_millis()).unwrap_or(i64::MAX));
    // The newest ones of those that are not too old; at most one more than may stay.
    let mut kept: BTreeSet<EndedFolder> = BTreeSet::new();
    let mut removed = 0;
    // One that cannot be removed holds up no other; it is tried again with the next sweep.
    let mut count = |done: std::io::Result<bool>, path: &Path| match done {
        Ok(is_removed) => removed += u64::from(is_removed),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the folder of an attempt cannot be removed");
        }
    };
    for run in ended {
        let of_run = all_attempts.join(run.to_string());
        let folders = folders_in(&of_run).unwrap_or_else(|error| {
            tracing::warn!(path = %of_run.display(), %error, "the attempts of a run cannot be listed");
            Vec::new()
        });
        for path in folders {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(GONE) {
                count(remove_whole(&path).map(|()| false), &path);
                continue;
            }
            let folder = match ended_at(&path) {
                Ok(ended_at) => EndedFolder { ended_at, path },
                Err(error) => {
                    count(Err(error), &path);
                    continue;
                }
            };
            if folder.ended_at < oldest {
                count(remove(&folder.path), &folder.path);
                continue;
            }
            kept.insert(folder);
            if kept.len() > limits.keep_max
                && let Some(first) = kept.pop_first()
            {
                count(remove(&first.path), &first.path);
            }
        }
    }
    for run in ended {
        // Goes where nothing is left in it.
        let _not_empty = std::fs::remove_dir(all_attempts.join(run.to_string()));
    }
    removed
}

/// The folders in a folder, links left out; none where there is no such folder.
fn folders_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// When the last thing of an attempt was written: its end, else its log, else its folder.
fn ended_at(folder: &Path) -> std::io::Result<i64> {
    for path in [folder.join(EXIT), folder.join(LOG), folder.to_owned()] {
        match std::fs::symlink_metadata(&path).and_then(|about| about.modified()) {
            Ok(at) => return Ok(millis(at)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // It has gone meanwhile: as if it were new, nothing is done.
    Ok(i64::MAX)
}

fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Removes a folder, unless a supervisor holds it.
fn remove(folder: &Path) -> std::io::Result<bool> {
    // A lock that cannot be looked at may be held.
    if is_held(folder).unwrap_or(true) {
        return Ok(false);
    }
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let gone = folder.with_file_name(format!("{GONE}{name}"));
    match std::fs::rename(folder, &gone) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        renamed => renamed?,
    }
    remove_whole(&gone)?;
    Ok(true)
}

fn remove_whole(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _gone => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY_MS: i64 = 86_400_000;
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn run(number: u32) -> RunId {
        format!("00000000-0000-0000-0000-{number:012}").parse().unwrap()
    }

    /// The folder of an attempt that ended so many days ago.
    fn attempt(home: &Path, run: RunId, name: &str, days: i64) -> PathBuf {
        let folder = home.join(run.to_string()).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(NOW.0 - days * DAY_MS).unwrap());
        for file in [LOG, EXIT] {
            let file = std::fs::File::create(folder.join(file)).unwrap();
            file.set_modified(at).unwrap();
        }
        folder
    }

    fn sweep(home: &Path, ended: &[RunId], keep_max: usize) -> u64 {
        let limits = AttemptLimits { keep: Duration::from_secs(30 * 86_400), keep_max };
        remove_old_attempts(home, ended, limits, NOW)
    }

    #[test]
    fn o148_folders_over_the_age_go_and_those_of_runs_that_go_on_stay_as_does_whatever_else_lies_there() {
        let home = tempfile::tempdir().unwrap();
        let (ended, goes_on) = (run(1), run(2));
        let old = attempt(home.path(), ended, "a-r1-a1", 31);
        let fresh = attempt(home.path(), ended, "a-r1-a2", 29);
        let active = attempt(home.path(), goes_on, "a-r1-a1", 99);
        let file = home.path().join(ended.to_string()).join("notes.txt");
        std::fs::write(&file, "x").unwrap();
        let other = attempt(home.path(), ended, "unrelated", 29).with_file_name("x.log");
        std::os::unix::fs::symlink(&active, &other).unwrap();
        std::fs::create_dir_all(home.path().join("not a run").join("a")).unwrap();
        let mut runs = runs_with_attempts(home.path()).unwrap();
        runs.sort_unstable();
        assert_eq!(runs, [ended, goes_on]);
        assert_eq!(sweep(home.path(), &[ended], 500), 1);
        assert!(!old.exists() && fresh.exists() && active.exists() && file.exists() && other.exists());
        assert!(home.path().join("not a run").join("a").exists());
        assert_eq!(sweep(home.path(), &[ended], 500), 0);
    }

    #[test]
    fn beyond_the_number_the_oldest_go_and_an_empty_folder_of_a_run_with_them() {
        let home = tempfile::tempdir().unwrap();
        let first = attempt(home.path(), run(1), "a-r1-a1", 9);
        let rest: Vec<PathBuf> =
            (0..3).map(|days| attempt(home.path(), run(2), &format!("a-r{days}-a1"), days)).collect();
        assert_eq!(sweep(home.path(), &[run(1), run(2)], 3), 1);
        assert!(!first.parent().unwrap().exists() && rest.iter().all(|folder| folder.exists()));
        assert_eq!(sweep(&home.path().join("nowhere"), &[run(1)], 3), 0);
        assert!(runs_with_attempts(&home.path().join("nowhere")).unwrap().is_empty());
    }

    #[test]
    fn a_folder_that_a_supervisor_holds_stays_and_what_a_crash_left_half_removed_goes() {
        use rustix::fs::{FlockOperation, flock};
        let home = tempfile::tempdir().unwrap();
        let held = attempt(home.path(), run(1), "a-r1-a1", 99);
        let lock = std::fs::File::create(held.join(crate::shim::protocol::LOCK)).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let half = attempt(home.path(), run(1), ".gone-b-r1-a1", 1);
        assert_eq!(sweep(home.path(), &[run(1)], 500), 0);
        assert!(held.exists() && !half.exists());
        drop(lock);
        assert_eq!(sweep(home.path(), &[run(1)], 500), 1);
    }
}

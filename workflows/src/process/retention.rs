//! The limits of attempt folders: how old they may become, and how many there may be.
//!
//! Law: only folders of attempts and probes whose run has ended are removed, whole, the oldest first, and never one that a
//! supervisor holds; the archive of a run goes whole, too. What is neither stays: files, links, folders of other names,
//! those of runs that are not known.

use std::collections::BTreeSet;
use std::io::Result;
use std::path::{Path, PathBuf};

use everfold_base::id::RunId;
use everfold_base::time::Timestamp;

use super::archive::{ARCHIVE, ArchivedRun, UNFINISHED};
use super::ended_folders::{GONE, ended_at, folders_in, millis, remove, remove_whole};
use crate::private_file::if_there;
use crate::settings::AttemptLimits;

/// What may be removed: the folder of an attempt, or the archive of a run.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct EndedAttempts {
    ended_at: i64,
    path: PathBuf,
    /// How many attempts that are.
    count: usize,
    is_archive: bool,
}

impl EndedAttempts {
    /// Gives how many attempts were removed: none where a supervisor holds the folder.
    fn remove(&self) -> Result<usize> {
        let is_removed = match self.is_archive {
            true => std::fs::remove_file(&self.path).map(|()| true)?,
            false => remove(&self.path)?,
        };
        Ok(if is_removed { self.count } else { 0 })
    }
}

/// The runs of which there are folders or an archive.
///
/// # Errors
/// The folder of all attempts cannot be read; without one there are none.
pub fn runs_with_attempts(all_attempts: &Path) -> Result<Vec<RunId>> {
    let Some(entries) = if_there(std::fs::read_dir(all_attempts))? else { return Ok(Vec::new()) };
    let mut runs = BTreeSet::new();
    for entry in entries {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let Some(name) = name.to_str() else { continue };
        let run = match name.split_once('.') {
            None if kind.is_dir() => name,
            Some((run, ARCHIVE | UNFINISHED)) if kind.is_file() => run,
            _other => continue,
        };
        runs.extend(run.parse::<RunId>());
    }
    Ok(runs.into_iter().collect())
}

/// Removes the folders and archives that are over the limits; gives how many attempts. `ended` are the runs that have ended.
/// What cannot be looked at or removed stays, and the log says so. Ends early once `goes_on` says no.
pub fn remove_old_attempts(
    all_attempts: &Path,
    ended: &[RunId],
    limits: AttemptLimits,
    now: Timestamp,
    goes_on: &dyn Fn() -> bool,
) -> u64 {
    let oldest = now.0.saturating_sub(i64::try_from(limits.keep.as_millis()).unwrap_or(i64::MAX));
    let mut removed = 0;
    // One that cannot be removed holds up no other; it is tried again with the next sweep.
    let mut count = |done: Result<usize>, path: &Path| match done {
        Ok(attempts) => removed += attempts as u64,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the folder of an attempt, or the archive of a run, cannot be removed");
        }
    };
    // The newest ones of those that are not too old: as many as may stay, and the one that was found last.
    let (mut kept, mut attempts_kept): (BTreeSet<EndedAttempts>, usize) = (BTreeSet::new(), 0);
    for run in ended {
        let of_run = all_attempts.join(run.to_string());
        let mut found = folders_of(&of_run, &mut count);
        found.extend(archive_of(&of_run));
        for found in found {
            if !goes_on() {
                return removed;
            }
            if found.ended_at < oldest {
                count(found.remove(), &found.path);
                continue;
            }
            attempts_kept += found.count;
            kept.insert(found);
            // An archive of more attempts than may stay is there until newer ones are as many.
            while let Some(first) = kept.first()
                && attempts_kept - first.count >= limits.keep_max
                && let Some(first) = kept.pop_first()
            {
                attempts_kept -= first.count;
                count(first.remove(), &first.path);
            }
        }
    }
    for run in ended {
        // Goes where nothing is left in it.
        let _not_empty = std::fs::remove_dir(all_attempts.join(run.to_string()));
    }
    removed
}

/// The folders of a run's attempts; what a crash left half removed is removed.
fn folders_of(of_run: &Path, count: &mut impl FnMut(Result<usize>, &Path)) -> Vec<EndedAttempts> {
    let folders = folders_in(of_run).unwrap_or_else(|error| {
        tracing::warn!(path = %of_run.display(), %error, "the attempts of a run cannot be listed");
        Vec::new()
    });
    let mut found = Vec::with_capacity(folders.len());
    for path in folders {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(GONE) {
            count(remove_whole(&path).map(|()| 0), &path);
            continue;
        }
        match ended_at(&path) {
            Ok(ended_at) => found.push(EndedAttempts { ended_at, path, count: 1, is_archive: false }),
            Err(error) => count(Err(error), &path),
        }
    }
    found
}

/// The archive of a run; what a crash left of one that was not complete is removed.
fn archive_of(of_run: &Path) -> Option<EndedAttempts> {
    let _gone = std::fs::remove_file(of_run.with_extension(UNFINISHED));
    let path = of_run.with_extension(ARCHIVE);
    let ended_at = millis(std::fs::symlink_metadata(&path).ok()?.modified().ok()?);
    let count = match ArchivedRun::open(&path) {
        Ok(archive) => archive?.count(),
        // It grows old like any other.
        Err(error) => {
            tracing::warn!(%error, "the archive of a run cannot be read");
            1
        }
    };
    Some(EndedAttempts { ended_at, path, count, is_archive: true })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::shim::protocol::{EXIT, LOG};

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
        let limits =
            AttemptLimits { keep: Duration::from_secs(30 * 86_400), keep_max, archive_after: Duration::MAX };
        remove_old_attempts(home, ended, limits, NOW, &|| true)
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

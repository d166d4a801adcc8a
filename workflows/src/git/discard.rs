//! Taking a worktree away, with git's record of it.
//!
//! Law: records of other worktrees are left alone, also where their folders are not there: they may lie on a disk
//! that is away. So nothing is ever pruned, and the path in a record says to which folder it belongs. A
//! record that was never finished names no path; one of an engine is recognised by its name, which holds a run's id.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use everfold_base::id::RunId;

use super::error::GitError;
use super::own_worktree::pointed_at;

/// Takes a worktree away, whatever state it is in. The repository's turn is held ([`super::turn`]).
pub(super) async fn discard(common_dir: &Path, path: &Path) -> Result<(), GitError> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(GitError::Io(error)),
        Ok(()) | Err(_) => {}
    }
    let dot = real(path).join(".git");
    for record in std::fs::read_dir(common_dir.join("worktrees")).into_iter().flatten().flatten() {
        let (folder, name) = (record.path(), record.file_name());
        let is_of_path = noted(&folder).is_some_and(|place| place == dot || place == path.join(".git"));
        if is_of_path || (!is_whole(&folder) && name.to_str().is_some_and(is_an_engines)) {
            std::fs::remove_dir_all(folder).map_err(GitError::Io)?;
        }
    }
    Ok(())
}

/// The file `.git` that a record names, whether or not it is there.
fn noted(record: &Path) -> Option<PathBuf> {
    pointed_at(record).ok().or_else(|| {
        let text = std::fs::read_to_string(record.join("gitdir")).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| record.join(text))
    })
}

/// A `worktree add` that was killed can leave empty files, with which git refuses every call about worktrees.
fn is_whole(record: &Path) -> bool {
    let has = |file: &str| std::fs::metadata(record.join(file)).is_ok_and(|found| found.len() > 0);
    ["HEAD", "commondir", "gitdir"].iter().all(|file| has(file))
}

/// Worktrees of engines are named `RUN`, copies of them `RUN-STEP…`; git appends a number where a name is taken.
fn is_an_engines(name: &str) -> bool {
    const ID_CHARS: usize = 36;
    name.get(..ID_CHARS).is_some_and(|id| id.parse::<RunId>().is_ok())
}

/// The path without links, whether or not it is there itself.
fn real(path: &Path) -> PathBuf {
    match (path.parent().and_then(|parent| parent.canonicalize().ok()), path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _nowhere => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engines_names_hold_a_runs_id() {
        for (name, is_own) in [
            ("0198c1f0-0000-7000-8000-00000000cafe", true),
            ("0198c1f0-0000-7000-8000-00000000cafe-review-r1-a1", true),
            ("0198c1f0-0000-7000-8000-00000000cafe1", true),
            ("review-r1-a1", false),
            ("feature-0198c1f0-0000-7000-8000-00000000cafe", false),
        ] {
            assert_eq!(is_an_engines(name), is_own, "{name}");
        }
    }
}

//! Folders of attempts and probes of runs that have ended.
//!
//! Law: a folder is removed whole, and never one that a supervisor holds.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::attempt_folder::is_held;
use crate::private_file::if_there;
use crate::shim::protocol::{EXIT, LOG};

/// What a folder is called from the moment at which it is to be removed: a crash in between leaves that name.
pub(super) const GONE: &str = ".gone-";

/// The folders in a folder, links left out; none where there is no such folder.
pub(super) fn folders_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let Some(entries) = if_there(std::fs::read_dir(folder))? else { return Ok(Vec::new()) };
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
pub(super) fn ended_at(folder: &Path) -> std::io::Result<i64> {
    for path in [folder.join(EXIT), folder.join(LOG), folder.to_owned()] {
        if let Some(at) = if_there(std::fs::symlink_metadata(&path).and_then(|about| about.modified()))? {
            return Ok(millis(at));
        }
    }
    // It has gone meanwhile: as if it were new, nothing is done.
    Ok(i64::MAX)
}

pub(super) fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Removes a folder, unless a supervisor holds it.
pub(super) fn remove(folder: &Path) -> std::io::Result<bool> {
    // A lock that cannot be looked at may be held.
    if is_held(folder).unwrap_or(true) {
        return Ok(false);
    }
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let gone = folder.with_file_name(format!("{GONE}{name}"));
    if if_there(std::fs::rename(folder, &gone))?.is_none() {
        return Ok(false);
    }
    remove_whole(&gone)?;
    Ok(true)
}

pub(super) fn remove_whole(folder: &Path) -> std::io::Result<()> {
    if_there(std::fs::remove_dir_all(folder)).map(|_gone| ())
}

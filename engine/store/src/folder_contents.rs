//! What a folder holds, as far as a store is concerned.
//!
//! Law: a new store is begun only where nothing says that there was one. What is left of a store without an event is refused,
//! and so is what is not Everfold's.
//!
//! Asked when a folder is opened, verified or repaired, before anything is made in it.

use std::fs;
use std::io;
use std::path::Path;

use super::disk_reserve;
use super::error::OpenError;
use super::journal::segment;
use super::lock;
use super::manifest;
use super::paths::{INDEX_FOLDER, JOURNAL_FOLDER, journal_folder};
use everfold_base::data_folder::Layout;

/// What people keep in a data folder beside what the program does ([`Layout::NAMES`]) and files of secrets that the settings
/// name; anything else, without a store, makes it a foreign one.
const NEIGHBOURS: [&str; 7] = ["README.md", "backups", "logs", "pipelines", "secrets", "tmp", "workspaces"];

/// Whether a folder holds a store, or what is left of one.
///
/// # Errors
/// [`OpenError::Foreign`]: it holds other things. [`OpenError::Gone`]: it holds no event any more. The folder cannot be read.
pub(crate) fn holds_store(folder: &Path) -> Result<bool, OpenError> {
    match contents(folder)? {
        FolderContents::Store => Ok(true),
        FolderContents::Nothing => Ok(false),
        FolderContents::Remains(found) => Err(OpenError::Gone { folder: folder.to_owned(), found }),
        FolderContents::Other(found) => Err(OpenError::Foreign { folder: folder.to_owned(), found }),
    }
}

/// Refuses a folder in which no store would be opened, because it holds other things, or what is left of a store without an
/// event.
///
/// # Errors
/// [`OpenError::Foreign`], [`OpenError::Gone`]; the folder cannot be read.
pub fn check_folder(folder: &Path) -> Result<(), OpenError> {
    if folder.exists() { holds_store(folder).map(|_| ()) } else { Ok(()) }
}

/// Whether opening a folder would make a new store there: there is no folder, or it holds neither a store nor anything foreign. Where a
/// `lock` is, a process opens it, or has.
#[must_use]
pub fn would_be_new(folder: &Path) -> bool {
    let is_bare = || !folder.join(lock::FILE_NAME).exists();
    !folder.exists() || (is_bare() && matches!(contents(folder), Ok(FolderContents::Nothing)))
}

/// Refuses a folder that has an index without an event, or one that cannot be read, where neither a segment nor the store's
/// description is left, and what runs wrote is.
///
/// # Errors
/// [`OpenError::Gone`]; the folder cannot be read.
pub(crate) fn refuse_remains(folder: &Path) -> Result<(), OpenError> {
    match remains(folder)? {
        FolderContents::Remains(_) => {
            let found = "an index (sled) from which nothing can be read".to_owned();
            Err(OpenError::Gone { folder: folder.to_owned(), found })
        }
        FolderContents::Store | FolderContents::Nothing | FolderContents::Other(_) => Ok(()),
    }
}

/// What a folder holds, as far as a store is concerned.
enum FolderContents {
    /// A store, or what is left of one.
    Store,
    /// Neither a store nor anything foreign.
    Nothing,
    /// No store, and something of this name that only a store has beside its events.
    Remains(String),
    /// No store, and a file of this name that is not Everfold's.
    Other(String),
}

fn contents(folder: &Path) -> Result<FolderContents, OpenError> {
    let described = manifest::read_known(folder)?;
    if matches!(described, Some(Ok(_))) || folder.join(INDEX_FOLDER).exists() {
        return Ok(FolderContents::Store);
    }
    match in_journal(&journal_folder(folder)) {
        JournalContents::Segments => return Ok(FolderContents::Store),
        JournalContents::Other(name) => {
            let found = format!("{JOURNAL_FOLDER}/{name} (which is no name of a segment)");
            return Ok(FolderContents::Remains(found));
        }
        JournalContents::Empty => return Ok(FolderContents::Remains(format!("an empty {JOURNAL_FOLDER}"))),
        JournalContents::Nothing => {}
    }
    match described {
        Some(_damaged) => Ok(FolderContents::Remains(format!("a damaged {}", manifest::FILE_NAME))),
        None => remains(folder),
    }
}

/// What a folder holds without journal, index and description.
fn remains(folder: &Path) -> Result<FolderContents, OpenError> {
    // What runs wrote, without a run. A store that is being made has folders for blobs before it has a journal.
    let mut remains =
        ["attempts", "worktrees"].into_iter().find(|name| holds_any(&folder.join(name))).map(str::to_owned);
    for entry in fs::read_dir(folder).map_err(OpenError::at(folder))? {
        let name = entry.map_err(OpenError::at(folder))?.file_name();
        let name = name.to_string_lossy();
        let is_ours = name == lock::FILE_NAME
            || name == JOURNAL_FOLDER
            || name == INDEX_FOLDER
            || is_unimportant(&name)
            || name.ends_with(".secret")
            || Layout::NAMES.contains(&name.as_ref())
            || NEIGHBOURS.contains(&name.as_ref());
        if is_of_store(&name) {
            remains = Some(name.into_owned());
        } else if !is_ours {
            return Ok(FolderContents::Other(name.into_owned()));
        }
    }
    Ok(remains.map_or(FolderContents::Nothing, FolderContents::Remains))
}

/// What a journal's folder holds.
enum JournalContents {
    /// Segments, or files that were to be some; what cannot be read may hold them.
    Segments,
    /// No segment, and a file of this name.
    Other(String),
    /// Nothing at all, as the place of a disk that is not mounted.
    Empty,
    /// There is none, or a new disk is mounted there.
    Nothing,
}

fn in_journal(journal: &Path) -> JournalContents {
    let entries = match fs::read_dir(journal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return JournalContents::Nothing,
        Err(_unreadable) => return JournalContents::Segments,
        Ok(entries) => entries,
    };
    let mut found = JournalContents::Empty;
    for entry in entries {
        let Ok(entry) = entry else { return JournalContents::Segments };
        let name = entry.file_name().to_string_lossy().into_owned();
        if segment::number_of(&name).is_some() {
            return JournalContents::Segments;
        }
        match &found {
            JournalContents::Other(_) => {}
            // A process that made the first segment was killed.
            _ if name.ends_with(".tmp") => found = JournalContents::Segments,
            JournalContents::Empty if is_unimportant(&name) => found = JournalContents::Nothing,
            _ if is_unimportant(&name) => {}
            _ => found = JournalContents::Other(name),
        }
    }
    found
}

/// Whether a folder holds anything; one that cannot be read does, as far as anybody knows.
fn holds_any(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Whether a name says nothing of whose folder it is.
fn is_unimportant(name: &str) -> bool {
    name.starts_with('.') || name.ends_with(".tmp") || name == "lost+found"
}

/// Whether a name is one that a store gives to what it keeps beside its events: room for a full disk, what a repair or an
/// adoption put aside.
fn is_of_store(name: &str) -> bool {
    name == disk_reserve::FILE_NAME
        || name.starts_with("journal.damaged-")
        || name.starts_with("attempts.lost-")
}

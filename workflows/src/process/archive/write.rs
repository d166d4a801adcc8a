//! Puts the folders of attempts into the archive of their run.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Error, ErrorKind, IntoInnerError, Result, Seek, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use everfold_system::os_error::{is_at_size_limit, is_shortage};
use everfold_system::regular;
use jiff::tz::Offset;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::read::{ArchivedRun, ENTRIES_MAX, FOLDER_BYTES_MAX, WhileGoing, stop_unless};
use super::room::check_room;
use crate::process::attempt_folder::is_held;
use crate::process::ended_folders::{GONE, ended_at, folders_in, millis, remove};
use crate::settings::AttemptLimits;
use crate::shim::protocol::{EXIT, STARTED};

/// How an archive's name ends.
pub(in crate::process) const ARCHIVE: &str = "zip";
/// How the name of one ends that is not complete, which a crash may leave.
pub(in crate::process) const UNFINISHED: &str = "zip.new";
/// The folder of an attempt that holds more files and folders stays a folder.
const FOLDER_ENTRIES_MAX: usize = 10_000;

/// A folder that goes into the archive.
struct ArchivedFolder {
    path: PathBuf,
    /// What is in it, itself among it, by the names in the archive.
    entries: BTreeMap<String, FolderEntry>,
    ended_at: i64,
}

/// What stands in the folder of an attempt.
#[derive(PartialEq, Eq)]
enum FolderEntry {
    Folder,
    File { path: PathBuf, bytes: u64, modified: i64 },
}

/// Puts the folders of attempts of runs that have ended, `archive_after` their end, into the archive of their run; gives how
/// many. What cannot be archived stays a folder, and the log says so. Ends early once `goes_on` says no.
pub fn archive_attempts(
    all_attempts: &Path,
    ended: &[RunId],
    limits: AttemptLimits,
    now: Timestamp,
    goes_on: &dyn Fn() -> bool,
) -> u64 {
    let before = now.0.saturating_sub(i64::try_from(limits.archive_after.as_millis()).unwrap_or(i64::MAX));
    let mut archived = 0;
    for run in ended {
        if !goes_on() {
            break;
        }
        let of_run = all_attempts.join(run.to_string());
        match archive_run(&of_run, before, goes_on) {
            Ok(count) => archived += count,
            Err(_given_up) if !goes_on() => break,
            // The others would find as little.
            Err(error) if is_shortage(&error) && !is_at_size_limit(&error) => {
                tracing::warn!(path = %of_run.display(), %error, "attempts of runs that have ended were not archived; their folders stay");
                break;
            }
            // It holds up no other run; it is tried again with the next sweep.
            Err(error) => {
                tracing::warn!(path = %of_run.display(), %error, "the attempts of a run were not archived; their folders stay");
            }
        }
    }
    archived
}

fn archive_run(of_run: &Path, before: i64, goes_on: &dyn Fn() -> bool) -> Result<u64> {
    let ended = folders_in(of_run)?.into_iter().filter_map(|path| Some((ended_before(&path, before)?, path)));
    let ended: Vec<(i64, PathBuf)> = ended.collect();
    if ended.is_empty() {
        return Ok(0);
    }
    let (path, unfinished) = (of_run.with_extension(ARCHIVE), of_run.with_extension(UNFINISHED));
    let former = ArchivedRun::open(&path)?;
    let names = former.as_ref().map_or_else(|| Ok(BTreeSet::new()), ArchivedRun::names)?;
    let folders = archivable(ended, &names)?;
    if folders.is_empty() {
        return Ok(0);
    }
    let former_bytes = if former.is_some() { std::fs::metadata(&path)?.len() } else { 0 };
    check_room(of_run, former_bytes + folders.iter().map(ArchivedFolder::bytes).sum::<u64>())?;
    let written = write(former, &unfinished, &folders, goes_on);
    // Another process, which owns the data folder by now, would have begun its own.
    let is_ours =
        |file: File| Ok::<_, Error>(file.metadata()?.ino() == std::fs::metadata(&unfinished)?.ino());
    match written.and_then(is_ours) {
        Ok(true) => {}
        Ok(false) => return Ok(0),
        Err(error) => {
            let _gone = std::fs::remove_file(&unfinished);
            return Err(error);
        }
    }
    std::fs::rename(&unfinished, &path)?;
    File::open(of_run.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    let mut archived = 0;
    // Those that are left are in both, until the next sweep.
    for folder in folders.iter().take_while(|_| goes_on()) {
        match folder.remove() {
            Ok(is_removed) => archived += u64::from(is_removed),
            Err(error) => {
                tracing::warn!(path = %folder.path.display(), %error, "an attempt is archived, and its folder cannot be removed");
            }
        }
    }
    // Goes where nothing is left in it.
    let _not_empty = std::fs::remove_dir(of_run);
    Ok(archived)
}

impl ArchivedFolder {
    fn bytes(&self) -> u64 {
        let bytes = |entry: &FolderEntry| match entry {
            FolderEntry::File { bytes, .. } => *bytes,
            FolderEntry::Folder => 0,
        };
        self.entries.values().map(bytes).sum()
    }

    /// Removes it, unless something was written into it since it was looked at: a later sweep archives that.
    fn remove(&self) -> Result<bool> {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match entries_of(&self.path, name)? {
            Some(entries) if entries == self.entries => remove(&self.path),
            _changed => Ok(false),
        }
    }
}

/// When the work of an attempt ended, where that was before a moment; `None` also where it may go on, or cannot be seen.
fn ended_before(folder: &Path, before: i64) -> Option<i64> {
    if folder.file_name()?.as_encoded_bytes().starts_with(GONE.as_bytes()) {
        return None;
    }
    let ended_at = ended_at(folder).ok().filter(|at| *at < before)?;
    // What has begun and has no end may be at work.
    let has_ended = folder.join(EXIT).try_exists().ok()? || !folder.join(STARTED).try_exists().ok()?;
    (has_ended && !is_held(folder).ok()?).then_some(ended_at)
}

/// Those of these folders that can be archived beside what is archived already.
fn archivable(ended: Vec<(i64, PathBuf)>, archived: &BTreeSet<String>) -> Result<Vec<ArchivedFolder>> {
    let (mut folders, mut count) = (Vec::new(), archived.len());
    for (ended_at, path) in ended {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(entries) = entries_of(&path, name)? else { continue };
        let added = entries.keys().filter(|name| !archived.contains(*name)).count();
        if count + added > ENTRIES_MAX {
            continue;
        }
        count += added;
        folders.push(ArchivedFolder { path, entries, ended_at });
    }
    Ok(folders)
}

/// What stands in the folder of an attempt by the names in the archive; `None` where that is too much, or anything but folders
/// and files that can be read.
fn entries_of(folder: &Path, name: &str) -> Result<Option<BTreeMap<String, FolderEntry>>> {
    let (mut entries, mut bytes) = (BTreeMap::new(), 0);
    let mut unread = vec![(folder.to_owned(), format!("{name}/"))];
    while let Some((folder, name)) = unread.pop() {
        let listed = match std::fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(error) if is_shortage(&error) => return Err(error),
            Err(_unreadable) => return Ok(None),
        };
        for entry in listed {
            let entry = entry?;
            let own = entry.file_name();
            let Some(own) = own.to_str() else { return Ok(None) };
            let (path, about) = (entry.path(), entry.metadata()?);
            if about.is_dir() {
                unread.push((path, format!("{name}{own}/")));
            } else if about.is_file() {
                match regular::open(&path) {
                    Err(error) if is_shortage(&error) => return Err(error),
                    Err(_unreadable) => return Ok(None),
                    Ok(_file) => {}
                }
                bytes += about.len();
                let modified = millis(about.modified()?);
                let file = FolderEntry::File { path, bytes: about.len(), modified };
                entries.insert(format!("{name}{own}"), file);
            } else {
                return Ok(None);
            }
            if bytes > FOLDER_BYTES_MAX || entries.len() + unread.len() > FOLDER_ENTRIES_MAX {
                return Ok(None);
            }
        }
        entries.insert(name, FolderEntry::Folder);
    }
    Ok(Some(entries))
}

/// Writes an archive of these folders, and of what the former one holds beside them, puts it on the disk, and reads it once.
///
/// # Errors
/// Also where it is given up, once `goes_on` says no.
fn write(
    former: Option<ArchivedRun>,
    path: &Path,
    folders: &[ArchivedFolder],
    goes_on: &dyn Fn() -> bool,
) -> Result<File> {
    let file =
        regular::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut writer = ZipWriter::new(BufWriter::new(file));
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let mut ended_at = folders.iter().map(|folder| folder.ended_at).max().unwrap_or_default();
    for (name, entry) in folders.iter().flat_map(|folder| &folder.entries) {
        let bytes = match entry {
            // An attempt without any file is known by it.
            FolderEntry::Folder => writer.add_directory(name, SimpleFileOptions::default()).map(|()| 0)?,
            FolderEntry::File { path, bytes, modified } => {
                add(&mut writer, name, path, *modified, goes_on)?;
                *bytes
            }
        };
        expected.insert(name.clone(), bytes);
    }
    if let Some(mut former) = former {
        ended_at = ended_at.max(former.ended_at()?);
        let entries = former.entries();
        for index in 0..entries.len() {
            let entry = entries.by_index_raw(index)?;
            let name = entry.name()?.into_owned();
            // A file that is in both stands in the folder as it is; what the folder lacks is kept.
            if let Entry::Vacant(place) = expected.entry(name) {
                place.insert(entry.size());
                writer.raw_copy_file(entry)?;
            }
            stop_unless(goes_on)?;
        }
    }
    let file = writer.finish()?.into_inner().map_err(IntoInnerError::into_error)?;
    file.set_modified(UNIX_EPOCH + Duration::from_millis(ended_at.unsigned_abs()))?;
    file.sync_all()?;
    let read = ArchivedRun::open(path)?.ok_or(ErrorKind::NotFound)?.check(goes_on)?;
    if read != expected {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "the archive does not hold what was listed: a file was written to meanwhile",
        ));
    }
    Ok(file)
}

fn add(
    writer: &mut ZipWriter<impl Write + Seek>,
    name: &str,
    path: &Path,
    modified: i64,
    goes_on: &dyn Fn() -> bool,
) -> Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(0o600)
        .last_modified_time(date_of(modified).unwrap_or_default());
    writer.start_file(name, options)?;
    std::io::copy(&mut WhileGoing { reader: regular::open(path)?, goes_on }, writer)?;
    Ok(())
}

/// A time as archives keep it, in UTC; `None` outside of 1980 to 2107.
fn date_of(millis: i64) -> Option<DateTime> {
    let at = jiff::Timestamp::from_millisecond(millis).ok()?;
    let date = Offset::UTC.to_datetime(at);
    let part = |number: i8| u8::try_from(number).ok();
    DateTime::from_date_and_time(
        u16::try_from(date.year()).ok()?,
        part(date.month())?,
        part(date.day())?,
        part(date.hour())?,
        part(date.minute())?,
        part(date.second())?,
    )
    .ok()
}

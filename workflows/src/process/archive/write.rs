//! Puts the folders of attempts into the archive of their run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Error, ErrorKind, IntoInnerError, Result, Seek, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use everfold_system::os_error::is_shortage;
use everfold_system::regular;
use jiff::tz::Offset;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::read::ArchivedRun;
use crate::process::attempt_folder::is_held;
use crate::process::ended_folders::{GONE, ended_at, folders_in, millis, remove};
use crate::settings::AttemptLimits;

/// How an archive's name ends.
pub(in crate::process) const ARCHIVE: &str = "zip";
/// How the name of one ends that is not complete, which a crash may leave.
pub(in crate::process) const UNFINISHED: &str = "zip.new";
/// The folder of an attempt that holds more stays a folder.
const FOLDER_BYTES_MAX: u64 = 1 << 30;
/// The folder of an attempt that holds more files stays a folder.
const FOLDER_FILES_MAX: usize = 10_000;
/// The most entries of an archive, whose names are read whenever one is opened; further folders stay.
const ENTRIES_MAX: usize = 100_000;
/// Room on the disk that stays free beside an archive: the store needs it more.
const ROOM_BYTES_LEAST: u64 = 64 << 20;

/// A folder that goes into the archive.
struct ArchivedFolder {
    name: String,
    path: PathBuf,
    /// Its files, by their names in the archive.
    files: BTreeMap<String, ArchivedFile>,
    ended_at: i64,
}

struct ArchivedFile {
    path: PathBuf,
    bytes: u64,
    modified: Timestamp,
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
            // The others would find as little.
            Err(error) if is_shortage(&error) => {
                tracing::warn!(%error, "attempts of runs that have ended were not archived; their folders stay");
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
    let mut folders = ended_folders(of_run, before)?;
    if folders.is_empty() {
        return Ok(0);
    }
    let (path, unfinished) = (of_run.with_extension(ARCHIVE), of_run.with_extension(UNFINISHED));
    let mut former = ArchivedRun::open(&path)?;
    let mut entries = former.as_mut().map_or(0, |former| former.entries().len());
    folders.retain(|folder| {
        entries += folder.files.len() + 1;
        entries <= ENTRIES_MAX
    });
    let former_bytes = if former.is_some() { std::fs::metadata(&path)?.len() } else { 0 };
    let bytes = folders.iter().flat_map(|folder| folder.files.values()).map(|file| file.bytes).sum::<u64>();
    if room(of_run) < bytes + former_bytes + ROOM_BYTES_LEAST {
        let text = format!("less than {} MiB would be free on the disk", ROOM_BYTES_LEAST >> 20);
        return Err(Error::new(ErrorKind::StorageFull, text));
    }
    let written = write(former, &unfinished, &folders, goes_on);
    if !matches!(written, Ok(true)) {
        let _gone = std::fs::remove_file(&unfinished);
        return written.map(|_| 0);
    }
    std::fs::rename(&unfinished, &path)?;
    File::open(of_run.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    for folder in &folders {
        remove(&folder.path)?;
    }
    // Goes where nothing is left in it.
    let _not_empty = std::fs::remove_dir(of_run);
    Ok(folders.len() as u64)
}

/// The free bytes of the disk, as far as it says.
fn room(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The folders of a run's attempts that ended before a moment and can be archived.
fn ended_folders(of_run: &Path, before: i64) -> Result<Vec<ArchivedFolder>> {
    let mut folders = Vec::new();
    for path in folders_in(of_run)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        let ended_at = ended_at(&path)?;
        // A lock that cannot be looked at may be held.
        if name.starts_with(GONE) || ended_at >= before || is_held(&path).unwrap_or(true) {
            continue;
        }
        if let Some(files) = files_of(&path, &name)? {
            folders.push(ArchivedFolder { name, path, files, ended_at });
        }
    }
    Ok(folders)
}

/// The files of an attempt's folder by their names in the archive; `None` where something else is in it, or too much.
fn files_of(folder: &Path, name: &str) -> Result<Option<BTreeMap<String, ArchivedFile>>> {
    let (mut files, mut bytes) = (BTreeMap::new(), 0);
    let mut unread = vec![(folder.to_owned(), name.to_owned())];
    while let Some((folder, name)) = unread.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let own = entry.file_name();
            let Some(own) = own.to_str() else { return Ok(None) };
            let name = format!("{name}/{own}");
            let about = entry.metadata()?;
            if about.is_dir() {
                unread.push((entry.path(), name));
            } else if about.is_file() {
                bytes += about.len();
                let modified = Timestamp(millis(about.modified()?));
                files.insert(name, ArchivedFile { path: entry.path(), bytes: about.len(), modified });
            } else {
                return Ok(None);
            }
            if bytes > FOLDER_BYTES_MAX || files.len() + unread.len() > FOLDER_FILES_MAX {
                return Ok(None);
            }
        }
    }
    Ok(Some(files))
}

/// Writes an archive of these folders and of what the former one holds beside them, puts it on the disk, and reads it once.
/// `false`: it was given up.
fn write(
    former: Option<ArchivedRun>,
    path: &Path,
    folders: &[ArchivedFolder],
    goes_on: &dyn Fn() -> bool,
) -> Result<bool> {
    let file =
        regular::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut writer = ZipWriter::new(BufWriter::new(file));
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let mut ended_at = folders.iter().map(|folder| folder.ended_at).max().unwrap_or_default();
    for folder in folders {
        if !goes_on() {
            return Ok(false);
        }
        // An attempt without any file is known by it.
        writer.add_directory(&folder.name, SimpleFileOptions::default())?;
        expected.insert(format!("{}/", folder.name), 0);
        for (name, file) in &folder.files {
            add(&mut writer, name, file)?;
            expected.insert(name.clone(), file.bytes);
        }
    }
    if let Some(mut former) = former {
        ended_at = ended_at.max(former.ended_at()?);
        let names: BTreeSet<&str> = folders.iter().map(|folder| folder.name.as_str()).collect();
        let entries = former.entries();
        for index in 0..entries.len() {
            let entry = entries.by_index_raw(index)?;
            // What a crash left in both stands in the folder.
            let name = entry.name()?.into_owned();
            if name.split_once('/').is_some_and(|(folder, _)| names.contains(folder)) {
                continue;
            }
            expected.insert(name, entry.size());
            writer.raw_copy_file(entry)?;
        }
    }
    let file = writer.finish()?.into_inner().map_err(IntoInnerError::into_error)?;
    file.set_modified(UNIX_EPOCH + Duration::from_millis(ended_at.unsigned_abs()))?;
    file.sync_all()?;
    let read = ArchivedRun::open(path)?.ok_or(ErrorKind::NotFound)?.check()?;
    if read != expected {
        return Err(Error::new(ErrorKind::InvalidData, "the archive does not hold what was put into it"));
    }
    Ok(true)
}

fn add(writer: &mut ZipWriter<impl Write + Seek>, name: &str, file: &ArchivedFile) -> Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(0o600)
        .last_modified_time(date_of(file.modified).unwrap_or_default());
    writer.start_file(name, options)?;
    let copied = std::io::copy(&mut regular::open(&file.path)?, writer)?;
    if copied != file.bytes {
        let path = file.path.display();
        return Err(Error::new(ErrorKind::ResourceBusy, format!("{path} was written to meanwhile")));
    }
    Ok(())
}

/// A time as archives keep it, in UTC; `None` outside of 1980 to 2107.
fn date_of(at: Timestamp) -> Option<DateTime> {
    let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
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

//! Reads the archive of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use everfold_system::regular;
use zip::ZipArchive;
use zip::read::ZipReadOptions;
use zip::result::ZipError;

use super::room::check_room;
use crate::private_file::if_there;
use crate::process::ended_folders::millis;

/// The folder of an attempt that holds more stays a folder, so that no file of an archive is longer.
pub(super) const FOLDER_BYTES_MAX: u64 = 1 << 30;
/// The most entries of an archive, whose names are read whenever one is opened; further folders stay.
pub(super) const ENTRIES_MAX: usize = 100_000;

/// The archive of a run, opened.
#[derive(Debug)]
pub(in crate::process) struct ArchivedRun {
    path: PathBuf,
    archive: ZipArchive<File>,
    folders: BTreeSet<String>,
    /// Device and number of the file, which is another one once attempts were added.
    inode: (u64, u64),
}

impl ArchivedRun {
    /// Opens an archive; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is damaged: with its path.
    pub(in crate::process) fn open(path: &Path) -> std::io::Result<Option<Self>> {
        let opened = if_there(regular::open(path)).map_err(|error| at(path, error))?;
        let Some(file) = opened else { return Ok(None) };
        let about = file.metadata().map_err(|error| at(path, error))?;
        let archive = ZipArchive::new(file).map_err(|error| at(path, error.into()))?;
        let mut folders = BTreeSet::new();
        for name in archive.file_names() {
            let name = name.map_err(|error| at(path, error.into()))?;
            folders.extend(name.split_once('/').map(|(folder, _)| folder.to_owned()));
        }
        Ok(Some(Self { path: path.to_owned(), archive, folders, inode: (about.dev(), about.ino()) }))
    }

    /// How many folders of attempts and probes it holds.
    pub(in crate::process) fn count(&self) -> usize {
        self.folders.len()
    }

    /// Whether it holds the folder of this name.
    pub(super) fn holds(&self, folder: &str) -> bool {
        self.folders.contains(folder)
    }

    /// Whether the file of this name is still the one that was opened.
    pub(super) fn is_current(&self) -> bool {
        let inode = |about: std::fs::Metadata| (about.dev(), about.ino());
        std::fs::metadata(&self.path).is_ok_and(|about| inode(about) == self.inode)
    }

    /// The names of all entries; those of folders end with a slash.
    ///
    /// # Errors
    /// A name is damaged.
    pub(super) fn names(&self) -> std::io::Result<BTreeSet<String>> {
        let names = self.archive.file_names().map(|name| Ok(name?.into_owned()));
        names.collect::<std::io::Result<_>>().map_err(|error| at(&self.path, error))
    }

    /// Unpacks a file of an attempt's folder, of at most `bytes_max`, into a file without a name in the folder `unpacked`, or
    /// where temporary files are where that one takes none; `None` where the archive holds no such file. Readers leave the
    /// store its room. How long an entry is shows when it is unpacked: what the archive says of it proves nothing.
    ///
    /// # Errors
    /// The entry is damaged or longer, or there is no room.
    pub(super) fn unpack(
        &mut self,
        attempt: &str,
        file: &str,
        bytes_max: u64,
        unpacked: &Path,
    ) -> std::io::Result<Option<File>> {
        let name = format!("{attempt}/{file}");
        let entry = match self.archive.by_name(&name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(at(&self.path, error.into())),
        };
        let bytes = entry.size().min(bytes_max);
        let into = |folder: &Path| check_room(folder, bytes).and_then(|()| tempfile::tempfile_in(folder));
        // A data folder that may only be read is read all the same.
        let mut into = into(unpacked)
            .or_else(|error| into(&std::env::temp_dir()).map_err(|_as_little| error))
            .map_err(|error| at(&self.path, error))?;
        let copied = std::io::copy(&mut entry.take(bytes_max.saturating_add(1)), &mut into)
            .map_err(|error| at(&self.path, error))?;
        if copied > bytes_max {
            return Err(at(&self.path, longer(&name, bytes_max)));
        }
        into.seek(SeekFrom::Start(0))?;
        Ok(Some(into))
    }

    /// When its last attempt ended, in milliseconds since 1970.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub(super) fn ended_at(&self) -> std::io::Result<i64> {
        Ok(millis(std::fs::symlink_metadata(&self.path)?.modified()?))
    }

    /// Reads every entry, which compares it with its checksum, and gives their names with their sizes.
    ///
    /// # Errors
    /// An entry is damaged; `goes_on` says no.
    pub(super) fn check(&mut self, goes_on: &dyn Fn() -> bool) -> std::io::Result<BTreeMap<String, u64>> {
        let count = self.archive.len();
        let mut read = |index| {
            let entry = self.archive.by_index(index)?;
            let name = entry.name()?.into_owned();
            let bytes = std::io::copy(&mut WhileGoing { reader: entry, goes_on }, &mut std::io::sink())?;
            Ok((name, bytes))
        };
        let entries: std::io::Result<_> = (0..count).map(&mut read).collect();
        entries.map_err(|error| at(&self.path, error))
    }

    /// Compares each entry with its checksum and with what the directory says of it, and gives what differs to `fault`;
    /// entries that are `named` already are left out. It takes no longer than what was archived did: entries do not share
    /// bytes, and none is longer than a folder may be.
    pub(in crate::process) fn damage(&mut self, named: &dyn Fn(&str) -> bool, fault: &mut dyn FnMut(Error)) {
        if let Err(error) = self.check_directory() {
            return fault(at(&self.path, error));
        }
        for index in 0..self.archive.len() {
            let name = match self.archive.name_for_index(index) {
                Some(Ok(name)) => name.into_owned(),
                Some(Err(error)) => {
                    fault(at(&self.path, error.into()));
                    continue;
                }
                None => continue,
            };
            if !named(&name)
                && let Err(error) = self.check_entry(index, &name)
            {
                fault(at(&self.path, Error::new(error.kind(), format!("{name} is damaged: {error}"))));
            }
        }
    }

    fn check_directory(&mut self) -> std::io::Result<()> {
        let invalid = |what: &str| Err(Error::new(ErrorKind::InvalidData, what));
        if self.archive.len() > ENTRIES_MAX {
            return invalid("it has more entries than were ever put into one");
        }
        if self.archive.has_duplicate_names() {
            return invalid("two entries have the same name");
        }
        match self.archive.has_overlapping_entries()? {
            true => invalid("its entries overlap"),
            false => Ok(()),
        }
    }

    fn check_entry(&mut self, index: usize, name: &str) -> std::io::Result<()> {
        let strict = ZipReadOptions::new().enforce_header_consistency(true);
        let entry = self.archive.by_index_with_options(index, strict)?;
        let read = std::io::copy(&mut entry.take(FOLDER_BYTES_MAX + 1), &mut std::io::sink())?;
        if read > FOLDER_BYTES_MAX { Err(longer(name, FOLDER_BYTES_MAX)) } else { Ok(()) }
    }

    /// The archive itself, to copy entries out of it.
    pub(super) fn entries(&mut self) -> &mut ZipArchive<File> {
        &mut self.archive
    }
}

/// The error of an entry that is longer than what was archived.
fn longer(name: &str, bytes_max: u64) -> Error {
    let what = format!("{name} is longer than the {bytes_max} bytes that were written");
    Error::new(ErrorKind::InvalidData, what)
}

/// A reader that ends with an error once `goes_on` says no.
pub(super) struct WhileGoing<'a, R> {
    pub(super) reader: R,
    pub(super) goes_on: &'a dyn Fn() -> bool,
}

impl<R: Read> Read for WhileGoing<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        stop_unless(self.goes_on)?;
        self.reader.read(into)
    }
}

/// # Errors
/// `goes_on` says no.
pub(super) fn stop_unless(goes_on: &dyn Fn() -> bool) -> std::io::Result<()> {
    if goes_on() { Ok(()) } else { Err(ErrorKind::ConnectionAborted.into()) }
}

/// An error with the archive that it is about.
#[derive(Debug, thiserror::Error)]
#[error("the archive {}: {source}", path.display())]
struct ArchiveError {
    path: PathBuf,
    source: std::io::Error,
}

fn at(path: &Path, source: std::io::Error) -> std::io::Error {
    std::io::Error::new(source.kind(), ArchiveError { path: path.to_owned(), source })
}

//! Reads the archive of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use everfold_system::regular;
use zip::ZipArchive;
use zip::result::ZipError;

use super::room::check_room;
use crate::private_file::if_there;
use crate::process::ended_folders::millis;

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

    /// Unpacks a file of an attempt's folder into a file without a name in the folder `unpacked`, or where temporary files are
    /// where that one takes none; `None` where the archive holds no such file. Readers leave the store its room.
    ///
    /// # Errors
    /// The entry is damaged, or there is no room.
    pub(super) fn unpack(
        &mut self,
        attempt: &str,
        file: &str,
        unpacked: &Path,
    ) -> std::io::Result<Option<File>> {
        let name = format!("{attempt}/{file}");
        let mut entry = match self.archive.by_name(&name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(at(&self.path, error.into())),
        };
        let bytes = entry.size();
        let into = |folder: &Path| check_room(folder, bytes).and_then(|()| tempfile::tempfile_in(folder));
        // A data folder that may only be read is read all the same.
        let mut into = into(unpacked)
            .or_else(|error| into(&std::env::temp_dir()).map_err(|_as_little| error))
            .map_err(|error| at(&self.path, error))?;
        std::io::copy(&mut entry, &mut into).map_err(|error| at(&self.path, error))?;
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

    /// The archive itself, to copy entries out of it.
    pub(super) fn entries(&mut self) -> &mut ZipArchive<File> {
        &mut self.archive
    }
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

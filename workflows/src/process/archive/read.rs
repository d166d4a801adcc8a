//! Reads the archive of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use everfold_system::regular;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::process::ended_folders::millis;

/// The archive of a run, opened.
#[derive(Debug)]
pub(in crate::process) struct ArchivedRun {
    path: PathBuf,
    archive: ZipArchive<File>,
    folders: BTreeSet<String>,
}

impl ArchivedRun {
    /// Opens an archive; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is damaged: with its path.
    pub(in crate::process) fn open(path: &Path) -> std::io::Result<Option<Self>> {
        let file = match regular::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(path, error)),
        };
        let archive = ZipArchive::new(file).map_err(|error| at(path, error.into()))?;
        let mut folders = BTreeSet::new();
        for name in archive.file_names() {
            let name = name.map_err(|error| at(path, error.into()))?;
            folders.extend(name.split_once('/').map(|(folder, _)| folder.to_owned()));
        }
        Ok(Some(Self { path: path.to_owned(), archive, folders }))
    }

    /// How many folders of attempts and probes it holds.
    pub(in crate::process) fn count(&self) -> usize {
        self.folders.len()
    }

    /// Whether it holds the folder of this name.
    pub(super) fn holds(&self, folder: &str) -> bool {
        self.folders.contains(folder)
    }

    /// Unpacks a file of an attempt's folder into a file without a name in the folder `unpacked`; `None` where the
    /// archive holds no such file.
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
        let mut into = tempfile::tempfile_in(unpacked)?;
        std::io::copy(&mut entry, &mut into)
            .map_err(|error| at(&self.path, std::io::Error::new(error.kind(), format!("{name}: {error}"))))?;
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
    /// An entry is damaged.
    pub(super) fn check(&mut self) -> std::io::Result<BTreeMap<String, u64>> {
        let count = self.archive.len();
        let mut read = |index| {
            let mut entry = self.archive.by_index(index)?;
            let bytes = std::io::copy(&mut entry, &mut std::io::sink())?;
            Ok((entry.name()?.into_owned(), bytes))
        };
        let entries: std::io::Result<_> = (0..count).map(&mut read).collect();
        entries.map_err(|error| at(&self.path, error))
    }

    /// The archive itself, to copy entries out of it.
    pub(super) fn entries(&mut self) -> &mut ZipArchive<File> {
        &mut self.archive
    }
}

/// Says which archive it is.
fn at(path: &Path, error: std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("the archive {}: {error}", path.display()))
}

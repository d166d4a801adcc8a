//! The log of an attempt, wherever it is.

use std::path::{Path, PathBuf};

use everfold_base::data_folder::Layout;
use everfold_base::id::{EffectId, RunId};
use everfold_core::event::LogSeal;

use super::read::{ArchivedRun, FOLDER_BYTES_MAX};
use crate::shim::log::{LogFiles, index_bytes};
use crate::shim::protocol::{LOG, LOG_INDEX};

/// The log of an attempt as it was found.
#[derive(Debug)]
pub struct StoredLog {
    /// The file that holds it: the log itself, also where it is not there, or the archive of the run.
    pub place: PathBuf,
    /// Opened; none of it where the attempt wrote nothing, or is gone.
    pub files: LogFiles,
    /// Whether anything of the attempt is there: its folder, or its entries in the archive of its run.
    pub is_kept: bool,
}

/// Finds logs of attempts in their folders and in the archives of their runs. The archive that was read last stays open.
#[derive(Debug)]
pub struct LogFinder {
    layout: Layout,
    open: Option<(RunId, ArchivedRun)>,
}

impl LogFinder {
    /// Of this data folder.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, open: None }
    }

    /// The log of an attempt, with its index where that is asked for. What is in an archive is unpacked into files without
    /// names, and no more of it than `seal` records of the log.
    ///
    /// # Errors
    /// A file cannot be read, the archive is damaged or holds more than was archived, or there is no room to unpack.
    pub fn find(
        &mut self,
        id: &EffectId,
        seal: Option<&LogSeal>,
        indexed: bool,
    ) -> std::io::Result<StoredLog> {
        // Neither a folder nor an archive: it may have been archived between the two looks.
        let found = self.look(id, seal, indexed)?;
        if found.is_kept { Ok(found) } else { self.look(id, seal, indexed) }
    }

    fn look(&mut self, id: &EffectId, seal: Option<&LogSeal>, indexed: bool) -> std::io::Result<StoredLog> {
        let folder = self.layout.attempt(id);
        let place = self.place(id);
        // In this order: a folder goes when its archive is there.
        let files = LogFiles::at(&place)?;
        if files.log.is_some() {
            return Ok(StoredLog { place, files, is_kept: true });
        }
        let (archived, unpacked) = (self.layout.archived_attempts(id.run), &self.layout.all_attempts());
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match self.archive(id.run, &archived, name) {
            Ok(Some(archive)) => {
                let bytes_max = seal.map_or(FOLDER_BYTES_MAX, |seal| seal.bytes);
                let log = archive.unpack(name, LOG, bytes_max, unpacked)?;
                let index_max = seal.map_or(FOLDER_BYTES_MAX, |seal| index_bytes(seal.lines));
                // One that cannot be read is no damage of the log.
                let index = match indexed {
                    true => archive.unpack(name, LOG_INDEX, index_max, unpacked).ok().flatten(),
                    false => None,
                };
                Ok(StoredLog { place: archived, files: LogFiles { log, index }, is_kept: true })
            }
            // An attempt that is in its folder needs no archive.
            Err(error) if !folder.is_dir() => Err(error),
            Ok(None) | Err(_) => Ok(StoredLog { place, files, is_kept: folder.is_dir() }),
        }
    }

    /// The archive of a run, where it holds the folder of this attempt.
    fn archive(&mut self, run: RunId, path: &Path, name: &str) -> std::io::Result<Option<&mut ArchivedRun>> {
        let is_open = self.open.as_ref().is_some_and(|(of, archive)| *of == run && archive.is_current());
        if !is_open {
            self.open = ArchivedRun::open(path)?.map(|archive| (run, archive));
        }
        Ok(self.open.as_mut().map(|(_, archive)| archive).filter(|archive| archive.holds(name)))
    }

    /// Where the log of an attempt lies as long as it is in a folder of its own.
    #[must_use]
    pub fn place(&self, id: &EffectId) -> PathBuf {
        self.layout.attempt(id).join(LOG)
    }
}

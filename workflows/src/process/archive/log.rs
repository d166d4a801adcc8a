//! The log of an attempt, wherever it is.

use std::path::PathBuf;

use everfold_base::data_folder::Layout;
use everfold_base::id::{EffectId, RunId};

use super::read::ArchivedRun;
use crate::shim::log::LogFiles;
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

    /// The log of an attempt. What is in an archive is unpacked into files without names.
    ///
    /// # Errors
    /// A file cannot be read, an archive is damaged, or there is no room to unpack.
    pub fn find(&mut self, id: &EffectId) -> std::io::Result<StoredLog> {
        let folder = self.layout.attempt(id);
        // In this order: a folder goes when its archive is there.
        let place = self.place(id);
        let files = LogFiles::at(&place)?;
        if files.log.is_some() {
            return Ok(StoredLog { place, files, is_kept: true });
        }
        let archived = self.layout.archived_attempts(id.run);
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !self.holds(id.run, name)
            && let Some(archive) = ArchivedRun::open(&archived)?
        {
            self.open = Some((id.run, archive));
        }
        match &mut self.open {
            Some((run, archive)) if *run == id.run && archive.holds(name) => {
                let unpacked = self.layout.all_attempts();
                let log = archive.unpack(name, LOG, &unpacked)?;
                let index = archive.unpack(name, LOG_INDEX, &unpacked)?;
                Ok(StoredLog { place: archived, files: LogFiles { log, index }, is_kept: true })
            }
            _none => Ok(StoredLog { place, files, is_kept: folder.is_dir() }),
        }
    }

    /// Where the log of an attempt lies as long as it is in a folder of its own.
    #[must_use]
    pub fn place(&self, id: &EffectId) -> PathBuf {
        self.layout.attempt(id).join(LOG)
    }

    /// Whether the archive that is open has the folder of this attempt.
    fn holds(&self, run: RunId, name: &str) -> bool {
        self.open.as_ref().is_some_and(|(of, archive)| *of == run && archive.holds(name))
    }
}

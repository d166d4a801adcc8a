//! Blobs: values too large for an event, as files of their run named by their content.
//!
//! Law: a blob is durable before the event that names it is appended: written beside, synced,
//! renamed, folder synced. What is given out has the hash that was asked for.
//!
//! Called by the runtime before an append, and by everything that reads outputs and evidence.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{FileAccess, Files, SystemFiles};
use everfold_base::blobs::Blobs;
use everfold_base::id::RunId;
use everfold_base::json::{BlobRef, Hash};
use everfold_system::clock;
use everfold_system::folder::above;
use everfold_system::regular;

/// The blobs' folder inside the data folder.
pub(crate) const BLOBS_FOLDER: &str = "blobs";
/// So many runs are remembered as durable.
const DURABLE_MAX: usize = 10_000;

/// Why a blob could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// It is not there.
    #[error("the blob {hash} of run {run} is missing")]
    Missing {
        /// The run.
        run: RunId,
        /// The blob.
        hash: Hash,
    },
    /// Its content is not what its name says.
    #[error("{file} is damaged: its content has the hash {found}", file = file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The hash of what is there.
        found: Hash,
    },
    /// The operating system failed.
    #[error("could not use {path}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The runtime is ending.
    #[error("the process is ending")]
    Ending,
}

/// The blobs of a data folder. Cheap to clone.
#[derive(Clone)]
pub struct BlobStore {
    folder: PathBuf,
    files: Arc<dyn Files>,
    /// Runs whose folder this process made durable.
    durable: Arc<Mutex<HashSet<RunId>>>,
}

impl BlobStore {
    /// The blobs of a data folder; the folder is made when the first one is written.
    #[must_use]
    pub fn new(data_folder: &Path) -> Self {
        Self::with_files(data_folder, Arc::new(SystemFiles))
    }

    /// The same over another file layer.
    #[must_use]
    pub fn with_files(data_folder: &Path, files: Arc<dyn Files>) -> Self {
        Self { folder: data_folder.join(BLOBS_FOLDER), files, durable: Arc::default() }
    }

    /// Where a blob's file is.
    #[must_use]
    pub fn path(&self, run: RunId, hash: &Hash) -> PathBuf {
        self.run_folder(run).join(hash.to_string())
    }

    fn run_folder(&self, run: RunId) -> PathBuf {
        self.folder.join(run.to_string())
    }

    /// Writes a blob, durably, on a thread for that; writing it again changes nothing.
    ///
    /// # Errors
    /// Those of the operating system; nothing half-written has the blob's name.
    pub async fn put(&self, run: RunId, bytes: Vec<u8>) -> Result<BlobRef, BlobError> {
        let blobs = self.clone();
        tokio::task::spawn_blocking(move || blobs.put_blocking(run, &bytes))
            .await
            .map_err(|_| BlobError::Ending)?
    }

    /// Reads a blob on a thread for that, and checks it.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Damaged`], or those of the operating system.
    pub async fn get(&self, run: RunId, hash: Hash) -> Result<Vec<u8>, BlobError> {
        let blobs = self.clone();
        tokio::task::spawn_blocking(move || blobs.get_blocking(run, &hash))
            .await
            .map_err(|_| BlobError::Ending)?
    }

    /// As [`Self::put`], on this thread.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn put_blocking(&self, run: RunId, bytes: &[u8]) -> Result<BlobRef, BlobError> {
        let hash = Hash::of(bytes);
        let (folder, path) = (self.run_folder(run), self.path(run, &hash));
        let failed = |source| BlobError::Io { path: path.clone(), source };
        self.make_folder(run, &folder).map_err(failed)?;
        if self.get_blocking(run, &hash).is_ok() {
            // The process that wrote it may have been stopped before it was durable.
            let file = self.files.open(&path, FileAccess::Write).map_err(failed)?;
            file.sync().map_err(failed)?;
        } else {
            let beside = folder.join(format!("{hash}.{:016x}.tmp", clock::draw_u64()));
            let written = self.files.create(&beside).and_then(|file| {
                file.write_at(bytes, 0)?;
                file.sync()?;
                self.files.rename(&beside, &path)
            });
            if let Err(source) = written {
                // A full disk needs the room; what stays is swept later.
                let _unimportant = self.files.remove(&beside);
                return Err(failed(source));
            }
        }
        self.files.sync_folder(&folder).map_err(failed)?;
        Ok(BlobRef { hash, size_bytes: bytes.len() as u64 })
    }

    /// Makes the folder of a run, and makes it durable: one that is there may have been made by a process that was killed
    /// before it synced the folder above.
    fn make_folder(&self, run: RunId, folder: &Path) -> io::Result<()> {
        let is_durable = self.durable().contains(&run);
        if is_durable && folder.exists() {
            return Ok(());
        }
        self.files.create_folder(folder)?;
        self.files.sync_folder(&self.folder)?;
        self.files.sync_folder(above(&self.folder))?;
        let mut durable = self.durable();
        if durable.len() >= DURABLE_MAX {
            durable.clear();
        }
        durable.insert(run);
        Ok(())
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<RunId>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Self::get`], on this thread.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_blocking(&self, run: RunId, hash: &Hash) -> Result<Vec<u8>, BlobError> {
        let file = self.path(run, hash);
        let bytes = match regular::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BlobError::Missing { run, hash: *hash });
            }
            other => other.map_err(|source| BlobError::Io { path: file.clone(), source })?,
        };
        let found = Hash::of(&bytes);
        if found == *hash { Ok(bytes) } else { Err(BlobError::Damaged { file, found }) }
    }

    /// The runs that have blobs.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn runs(&self) -> Result<Vec<RunId>, BlobError> {
        Ok(names(&self.folder)?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The blobs of a run, by their names alone.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn list(&self, run: RunId) -> Result<Vec<Hash>, BlobError> {
        Ok(names(&self.run_folder(run))?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Removes a run's blobs that no event names, and what interrupted writes left; gives their number.
    ///
    /// The run must not be writing: a blob comes before its event.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn sweep(&self, run: RunId, named: &HashSet<Hash>) -> Result<usize, BlobError> {
        let folder = self.run_folder(run);
        let mut removed = 0;
        for name in names(&folder)? {
            let unnamed = name.parse().is_ok_and(|hash: Hash| !named.contains(&hash));
            if unnamed || name.ends_with(".tmp") {
                let path = folder.join(name);
                self.files.remove(&path).map_err(|source| BlobError::Io { path, source })?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

impl Blobs for BlobStore {
    fn put(&self, run: RunId, bytes: &[u8]) -> io::Result<BlobRef> {
        self.put_blocking(run, bytes).map_err(into_io)
    }

    fn get(&self, run: RunId, blob: &BlobRef) -> io::Result<Vec<u8>> {
        self.get_blocking(run, &blob.hash).map_err(into_io)
    }
}

/// Keeps the kind of error: callers wait while the disk is full, and for nothing else.
fn into_io(error: BlobError) -> io::Error {
    let kind = match &error {
        BlobError::Missing { .. } => io::ErrorKind::NotFound,
        BlobError::Damaged { .. } => io::ErrorKind::InvalidData,
        BlobError::Io { source, .. } => source.kind(),
        BlobError::Ending => io::ErrorKind::Interrupted,
    };
    io::Error::new(kind, error)
}

fn names(folder: &Path) -> Result<Vec<String>, BlobError> {
    let failed = |source| BlobError::Io { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_named_by_content_checked_and_swept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let blobs = BlobStore::new(folder.path());
        let run = RunId(uuid::Uuid::from_u128(7));
        assert_eq!(blobs.list(run).expect("no folder is no blob"), []);
        let kept = blobs.put_blocking(run, b"evidence").expect("room");
        assert_eq!(blobs.put_blocking(run, b"evidence").expect("again"), kept);
        let swept = blobs.put_blocking(run, b"no event names this").expect("room");
        assert_eq!(blobs.get_blocking(run, &kept.hash).expect("there"), b"evidence");
        assert_eq!(blobs.runs().expect("readable"), [run]);
        fs::write(blobs.path(run, &swept.hash).with_extension("1.tmp"), "half").expect("room");
        assert_eq!(blobs.sweep(run, &HashSet::from([kept.hash])).expect("swept"), 2);
        assert_eq!(blobs.list(run).expect("readable"), [kept.hash]);
        assert!(matches!(blobs.get_blocking(run, &swept.hash), Err(BlobError::Missing { .. })));
        fs::write(blobs.path(run, &kept.hash), "forged").expect("room");
        assert!(matches!(blobs.get_blocking(run, &kept.hash), Err(BlobError::Damaged { .. })));
        // Writing it again repairs it.
        blobs.put_blocking(run, b"evidence").expect("room");
        assert_eq!(blobs.get_blocking(run, &kept.hash).expect("whole again"), b"evidence");
    }
}

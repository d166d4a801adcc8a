//! What a store says about itself: sizes, counts, identity.
//!
//! Called by `everfold store info`, on a closed folder or beside a running store.

use std::fs;
use std::path::Path;

use super::blob;
use super::error::OpenError;
use super::files::SystemFiles;
use super::journal::recover;
use super::manifest;
use super::manifest::IndexState;
use super::paths::{index_folder, journal_folder};
use super::sled_store::SledStore;
use everfold_base::id::Position;

/// A store's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// The format of the data folder.
    pub format: u32,
    /// The store's identity; copies share it.
    pub store: String,
    /// The store's epoch; no copy shares it.
    pub epoch: String,
    /// Whether this folder may act.
    pub adopted: bool,
    /// It was closed in order, or is open now.
    pub is_orderly: bool,
    /// The last event's position.
    pub position: Position,
    /// The journal's segments, oldest first.
    pub segments: Vec<SegmentInfo>,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes of the blobs.
    pub blobs_bytes: u64,
}

/// One segment of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number, which is its file's name.
    pub number: u64,
    /// The position of its first event.
    pub first_position: Position,
    /// Bytes that groups take.
    pub used_bytes: u64,
    /// The file's length.
    pub file_bytes: u64,
}

/// Describes a folder; changes nothing, and needs no lock.
///
/// # Errors
/// Where there is no store, or its journal's end cannot be found.
pub fn info(folder: &Path) -> Result<StoreInfo, OpenError> {
    let manifest = match manifest::read_known(folder)? {
        Some(Ok(manifest)) => manifest,
        Some(Err(what)) => return Err(unusable(folder, &what)),
        None => return Err(unusable(folder, "there is no store here")),
    };
    let journal = journal_folder(folder);
    let survey = recover::survey(&SystemFiles, &journal, manifest::expected(folder, Some(&manifest))?)?;
    let segments = survey.as_ref().map(|survey| survey.segments.as_slice()).unwrap_or_default();
    Ok(StoreInfo {
        format: manifest.format,
        store: manifest.store,
        epoch: manifest.epoch,
        adopted: manifest.adopted,
        is_orderly: matches!(manifest.index, IndexState::Closed(_)),
        position: survey.as_ref().map_or(Position::ZERO, |survey| survey.tail.position()),
        segments: segments
            .iter()
            .map(|segment| SegmentInfo {
                number: segment.number,
                first_position: segment.header.first_position,
                used_bytes: segment.end(),
                file_bytes: fs::metadata(&segment.path).map_or(0, |file| file.len()),
            })
            .collect(),
        index_bytes: folder_bytes(&index_folder(folder)),
        blobs_bytes: folder_bytes(&folder.join(blob::BLOBS_FOLDER)),
    })
}

fn unusable(folder: &Path, what: &str) -> OpenError {
    let source = std::io::Error::new(std::io::ErrorKind::NotFound, what.to_owned());
    OpenError::Io { path: folder.to_owned(), source }
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

impl SledStore {
    /// Describes the open store. Blocks for a moment.
    #[must_use]
    pub fn info(&self) -> StoreInfo {
        let core = self.core();
        let manifest = core.manifest().clone();
        StoreInfo {
            format: manifest.format,
            store: manifest.store,
            epoch: manifest.epoch,
            adopted: manifest.adopted,
            is_orderly: true,
            position: core.published.borrow().position,
            segments: core
                .segments
                .all()
                .iter()
                .map(|segment| SegmentInfo {
                    number: segment.number,
                    first_position: segment.header.first_position,
                    used_bytes: segment.end(),
                    file_bytes: fs::metadata(&segment.path).map_or(0, |file| file.len()),
                })
                .collect(),
            index_bytes: folder_bytes(&index_folder(&core.folder)),
            blobs_bytes: folder_bytes(&core.folder.join(blob::BLOBS_FOLDER)),
        }
    }
}

//! Puts a new index in the place of one that cannot be believed.
//!
//! Law: the old index stays until the new one is whole. If the journal turns out to be damaged, the
//! old one may hold what the journal lost.
//!
//! Called when a store is opened, and by the checkpointer when the index failed under way.

use std::fs;
use std::io;
use std::path::Path;

use super::error::ReadError;
use super::journal::segment::Segments;
use super::options::SledOptions;
use super::paths::{index_folder, new_index_folder, remove_folder};
use super::sled;
use super::sled::Index;
use everfold_base::id::Position;

fn at(path: &Path) -> impl FnOnce(io::Error) -> ReadError + use<> {
    let path = path.to_owned();
    move |source| ReadError::Write { path, source }
}

/// Builds an index of the journal up to `last` in a folder of its own; gives the number of events.
pub(crate) fn build(
    folder: &Path,
    options: &SledOptions,
    segments: &Segments,
    last: Position,
) -> Result<(Index, u64), ReadError> {
    remove_folder(folder).map_err(at(folder))?;
    let index = Index::open(folder, options.cache_bytes)?;
    let (now, progress) = ((options.clock)(), options.progress.as_ref());
    let events = sled::catch_up(&index, &options.files, segments, last, (now, true), progress)?;
    index.flush()?;
    Ok((index, events))
}

/// Applies what an index lacks of the journal; gives the number of events.
pub(crate) fn fill(
    index: &Index,
    options: &SledOptions,
    segments: &Segments,
    last: Position,
) -> Result<u64, ReadError> {
    let now = (options.clock)();
    sled::catch_up(index, &options.files, segments, last, (now, false), options.progress.as_ref())
}

/// Replaces the index of a data folder, which no process has open, by the one that was built beside it.
pub(crate) fn swap(folder: &Path, options: &SledOptions) -> Result<Index, ReadError> {
    let (old, new) = (index_folder(folder), new_index_folder(folder));
    remove_folder(&old).map_err(at(&old))?;
    fs::rename(&new, &old).map_err(at(&new))?;
    options.files.sync_folder(folder).map_err(at(folder))?;
    Ok(Index::open(&old, options.cache_bytes)?)
}

/// Removes what a try to build an index left beside the old one.
pub(crate) fn discard(folder: &Path) {
    let path = new_index_folder(folder);
    if let Err(error) = remove_folder(&path) {
        tracing::warn!(path = %path.display(), %error, "half an index could not be removed; the next try does it");
    }
}

//! Files of a folder that another folder has, too.
//!
//! Law: what a store writes in place belongs to one folder. The last segment and the databases are written so; sealed
//! segments and blobs are replaced as a whole, and may be shared.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::OpenError;
use super::journal::{recover, segment};
use super::manifest::{FolderIdentity, Manifest};
use super::paths::{INDEX_FOLDER, journal_folder};
use everfold_base::data_folder::Layout;

/// The file in which sled keeps a database.
const DATABASE: &str = "db";

/// Refuses a copy of a folder that was made by hard links. Where the store's description does not say that the folder is
/// the store itself, it may be a copy.
///
/// # Errors
/// [`OpenError::Shared`]; a file cannot be looked at.
pub(crate) fn refuse_shared(folder: &Path, known: Option<&Manifest>) -> Result<(), OpenError> {
    let place = FolderIdentity::of(folder).map_err(OpenError::at(folder))?;
    if known.is_some_and(|manifest| manifest.place.is(&place)) {
        return Ok(());
    }
    let journal = journal_folder(folder);
    let (numbers, _) = recover::list(&journal)?;
    let segment = numbers.last().map(|number| journal.join(segment::file_name(*number)));
    let index = folder.join(INDEX_FOLDER).join(DATABASE);
    let projections = Layout::new(folder).projections().join(DATABASE);
    for path in segment.into_iter().chain([index, projections]) {
        match fs::metadata(&path) {
            Ok(file) if file.nlink() > 1 => return Err(OpenError::Shared { path }),
            Ok(_own) => {}
            // Neither is there a database where a file stands in the place of its folder.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(OpenError::from_io(path, error)),
        }
    }
    Ok(())
}

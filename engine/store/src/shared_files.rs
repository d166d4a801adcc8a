//! Files of a copy that are those of its origin, too.
//!
//! Law: what a store writes in place belongs to one folder. The last segment and the databases are written so; sealed
//! segments and blobs are replaced as a whole, and may be shared.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::OpenError;
use super::journal::segment::Segment;
use super::paths::INDEX_FOLDER;
use everfold_base::data_folder::Layout;

/// The file in which sled keeps a database.
const DATABASE: &str = "db";

/// Refuses a copy of a folder that was made by hard links.
///
/// # Errors
/// [`OpenError::Shared`]; a file cannot be looked at.
pub(crate) fn refuse_shared(folder: &Path, last: Option<&Segment>) -> Result<(), OpenError> {
    let index = folder.join(INDEX_FOLDER).join(DATABASE);
    let projections = Layout::new(folder).projections().join(DATABASE);
    let segment = last.map(|segment| segment.path.clone());
    for path in segment.into_iter().chain([index, projections]) {
        match fs::metadata(&path) {
            Ok(file) if file.nlink() > 1 => return Err(OpenError::Shared { path }),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::from_io(path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

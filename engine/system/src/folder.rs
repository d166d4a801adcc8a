//! Folders that survive a power cut.
//!
//! Law: a folder that was made is durable in the folder above it.
//!
//! Called by the store, which brings system calls of its own, and by the executors.

use std::fs;
use std::io;
use std::path::Path;

/// Makes a folder that only this user may read, and those above it, each durable in the one above; it may exist.
///
/// # Errors
/// Those of the operating system.
pub fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let make = |folder: &Path| fs::DirBuilder::new().mode(0o700).create(folder);
    create_durable(path, &make, &|folder| fs::File::open(folder)?.sync_all())
}

/// Makes a folder and those above it with the given system calls, each durable in the one above; it may exist.
///
/// # Errors
/// Those of the operating system.
pub fn create_durable(
    path: &Path,
    make: &dyn Fn(&Path) -> io::Result<()>,
    sync: &dyn Fn(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let above = above(path);
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
        // The folder that this process stands in has none above it that could be made.
        Err(error) if error.kind() != io::ErrorKind::NotFound || above == path => return Err(error),
        Err(_missing) => {}
    }
    create_durable(above, make, sync)?;
    match make(path) {
        // Another process made it in this moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    sync(above)
}

/// The folder that holds a name.
#[must_use]
pub fn above(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

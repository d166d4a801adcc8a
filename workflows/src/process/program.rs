//! Where the program of a process is.

use std::io;
use std::path::{Path, PathBuf};

use crate::private_file::is_of_the_system;

/// Finds a program as a process would: by `path` (`None`: this process's PATH), or, with a `/` in its
/// name, from the folder.
///
/// # Errors
/// It was not found, and the system could not look at one of its places: that says nothing about the program.
pub fn find_program(name: &str, folder: &Path, path: Option<&str>) -> io::Result<Option<PathBuf>> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut unseen = None;
    let mut is_program = |path: &PathBuf| match path.metadata() {
        Ok(about) => about.is_file() && about.permissions().mode() & 0o111 != 0,
        Err(error) => {
            if is_of_the_system(&error) {
                unseen.get_or_insert(error);
            }
            false
        }
    };
    let found = if name.contains('/') {
        Some(folder.join(name)).filter(|path| is_program(path))
    } else {
        let paths = path.map(Into::into).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
        std::env::split_paths(&paths).map(|path| path.join(name)).find(|path| is_program(path))
    };
    match (found, unseen) {
        (None, Some(error)) => Err(error),
        (found, _) => Ok(found),
    }
}

//! Paths inside a workspace.
//!
//! Law (L33): no path and no link leads out. A path is judged after all links in it are resolved.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use everfold_engine::store::files::{Files as _, SystemFiles};
use everfold_engine::store::is_shortage;

use crate::regular;

/// Where a declared path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// To a file or folder inside; resolved.
    Inside(PathBuf),
    /// To nothing.
    Missing,
    /// Out of the workspace, or to nowhere that can be told.
    Outside(String),
}

/// Finds what `path` names, relative to `root` or absolute inside it.
pub(crate) fn resolve(root: &Path, path: &str) -> Place {
    if path.is_empty() || path.contains('\0') {
        return Place::Outside("the path is empty or holds a zero byte".to_owned());
    }
    let Ok(root) = root.canonicalize() else {
        return Place::Outside(format!("the workspace {} is not there", root.display()));
    };
    let outside = || Place::Outside(format!("{path} leads out of the workspace"));
    let wanted = root.join(path);
    match wanted.canonicalize() {
        Ok(found) if found.starts_with(&root) => Place::Inside(found),
        Ok(_) => outside(),
        Err(_) => {
            // What does not exist can still try to lead out.
            let (mut depth, relative) = (0i32, wanted.strip_prefix(&root));
            let Ok(relative) = relative else { return outside() };
            for component in relative.components() {
                depth += match component {
                    Component::ParentDir => -1,
                    Component::CurDir => 0,
                    _ => 1,
                };
                if depth < 0 {
                    return outside();
                }
            }
            Place::Missing
        }
    }
}

/// Whether an error says nothing about the file: the system cannot read it, or not now.
pub(crate) fn is_of_the_system(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let is_broken = |errno| matches!(errno, Errno::IO | Errno::STALE | Errno::NODEV | Errno::TIMEDOUT);
    is_shortage(error) || Errno::from_io_error(error).is_some_and(is_broken)
}

/// `None` where the file is not there.
pub(crate) fn if_there<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a folder that only its owner may read, durable in the one above it.
pub(crate) fn make_private(folder: &Path) -> std::io::Result<()> {
    SystemFiles.create_private(folder)
}

/// Writes a file that only its owner may read: wholly or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = regular::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l33_no_path_and_no_link_leaves_the_workspace() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("w");
        std::fs::create_dir_all(root.join("docs")).unwrap();
        std::fs::write(root.join("docs/a.md"), "a").unwrap();
        std::fs::write(home.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        std::os::unix::fs::symlink("docs", root.join("inner")).unwrap();
        let inside = root.canonicalize().unwrap().join("docs/a.md");
        for path in ["docs/a.md", "./docs/../docs/a.md", "inner/a.md"] {
            assert_eq!(resolve(&root, path), Place::Inside(inside.clone()), "{path}");
        }
        assert_eq!(resolve(&root, root.join("docs/a.md").to_str().unwrap()), Place::Inside(inside));
        assert_eq!(resolve(&root, "docs/none.md"), Place::Missing);
        for path in ["../secret", "link", "/etc/passwd", "../none", "docs/../../none", "", "/none"] {
            assert!(matches!(resolve(&root, path), Place::Outside(_)), "{path}");
        }
    }
}

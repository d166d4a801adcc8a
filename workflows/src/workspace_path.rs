//! Paths inside a workspace.
//!
//! Law (L33): no path and no link leads out. A path is judged after all links in it are resolved.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// Where a declared path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ResolvedPath {
    /// To a file or folder inside; resolved.
    Inside(PathBuf),
    /// To nothing.
    Missing,
    /// Out of the workspace, or to no place that can be resolved.
    Outside(String),
}

/// Finds what `path` names, relative to `root` or absolute inside it.
pub(crate) fn resolve(root: &Path, path: &str) -> ResolvedPath {
    if path.is_empty() || path.contains('\0') {
        return ResolvedPath::Outside("the path is empty or holds a zero byte".to_owned());
    }
    let Ok(root) = root.canonicalize() else {
        return ResolvedPath::Outside(format!("the workspace {} is not there", root.display()));
    };
    let outside = || ResolvedPath::Outside(format!("{path} leads out of the workspace"));
    let wanted = root.join(path);
    match wanted.canonicalize() {
        Ok(found) if found.starts_with(&root) => ResolvedPath::Inside(found),
        Ok(_) => outside(),
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            ResolvedPath::Outside(format!("{path} cannot be resolved: {error}"))
        }
        Err(_missing) => {
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
            ResolvedPath::Missing
        }
    }
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
            assert_eq!(resolve(&root, path), ResolvedPath::Inside(inside.clone()), "{path}");
        }
        assert_eq!(resolve(&root, root.join("docs/a.md").to_str().unwrap()), ResolvedPath::Inside(inside));
        assert_eq!(resolve(&root, "docs/none.md"), ResolvedPath::Missing);
        // What cannot be looked at is not called missing.
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        for path in ["loop", &"n".repeat(300)] {
            let ResolvedPath::Outside(why) = resolve(&root, path) else { panic!("{path}") };
            assert!(why.contains("cannot be resolved: "), "{why}");
        }
        for path in ["../secret", "link", "/etc/passwd", "../none", "docs/../../none", "", "/none"] {
            assert!(matches!(resolve(&root, path), ResolvedPath::Outside(_)), "{path}");
        }
    }
}

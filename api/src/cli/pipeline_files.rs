//! The files that a pipeline file names: they lie beside or below it; roles and prompts also above it.
//!
//! Law: a file nearer to the pipeline goes before one further up, and none above the repository is read.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// Folders that the pipelines of a repository share.
const SHARED: [&str; 2] = ["roles", "prompts"];

/// Reads a file that a pipeline in `folder` names by `path`; `None` where there is none.
pub(super) fn read(folder: &Path, path: &str) -> Result<Option<String>, String> {
    for candidate in candidates(folder, path) {
        match std::fs::read_to_string(&candidate) {
            Ok(text) => return Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(None)
}

/// Where a file may be: beside the pipeline, and for roles and prompts in the folders above, up to that of the repository.
fn candidates(folder: &Path, path: &str) -> Vec<PathBuf> {
    let path = Path::new(path);
    let parts: Vec<Component<'_>> = path.components().collect();
    let shared = parts.iter().position(|part| SHARED.iter().any(|name| part.as_os_str() == *name));
    let (Some(at), Ok(folder)) = (shared, std::path::absolute(folder)) else {
        return vec![folder.join(path)];
    };
    let (below, rest): (PathBuf, PathBuf) = (parts[..at].iter().collect(), parts[at..].iter().collect());
    let top = folder.ancestors().find(|above| above.join(".git").exists()).unwrap_or(&folder);
    let own = folder.join(below);
    own.ancestors().take_while(|above| above.starts_with(top)).map(|above| above.join(&rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_prompts_are_found_in_folders_above_up_to_the_repository() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for (path, text) in [
            ("roles/out.md", "outside"),
            ("repo/.git/HEAD", ""),
            ("repo/roles/dev.md", "of the repository"),
            ("repo/roles/qa.md", "of the repository"),
            ("repo/prompts/build.md", "build"),
            ("repo/notes.md", "no role"),
            ("repo/flows/roles/qa.md", "of the flows"),
            ("repo/flows/sub/roles/own.md", "of the child"),
        ] {
            std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            std::fs::write(at(path), text).unwrap();
        }
        let read = |path: &str| read(&at("repo/flows"), path).unwrap();
        assert_eq!(read("roles/dev.md").as_deref(), Some("of the repository"));
        assert_eq!(read("roles/qa.md").as_deref(), Some("of the flows"));
        assert_eq!(read("prompts/build.md").as_deref(), Some("build"));
        assert_eq!(read("sub/roles/own.md").as_deref(), Some("of the child"));
        assert_eq!(read("sub/roles/qa.md").as_deref(), Some("of the flows"));
        assert_eq!(read("roles/out.md"), None, "above the repository");
        assert_eq!(read("notes.md"), None, "other files lie beside the pipeline");
        std::fs::remove_dir_all(at("repo/.git")).unwrap();
        assert_eq!(super::read(&at("repo/flows"), "roles/dev.md").unwrap(), None, "without a repository");
        assert!(super::read(&at("repo/flows"), "roles").is_err(), "a folder cannot be read");
    }
}

//! The files that a pipeline file names: they lie beside or below it; roles and prompts also above it.
//!
//! Laws:
//! - A file nearer to the pipeline goes before one further up, and none above the repository is read.
//! - A link is followed within the folder in which the file is looked for, and no further: a pipeline that is checked out
//!   reads no file of its reader's. Nothing but a file is opened, for a pipe or a device need have no end.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use everfold_engine::regular;

/// The largest file that a pipeline names.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Folders that the pipelines of a repository share.
const SHARED: [&str; 2] = ["roles", "prompts"];

/// Reads a file that a pipeline in `folder` names by `path`; `None` where there is none.
pub(super) fn read(folder: &Path, path: &str) -> Result<Option<String>, String> {
    for PlacedFile { within, file } in candidates(folder, path) {
        match text(&within, &file) {
            Ok(text) => return Ok(Some(text)),
            Err(PipelineFileError::Io(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(None)
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
enum PipelineFileError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("a link leads out of {0}, which holds the files of the pipeline")]
    Outside(String),
    #[error("it is larger than 1 MiB")]
    TooLarge,
    #[error("it is no UTF-8 text")]
    NoText,
}

fn text(within: &Path, file: &Path) -> Result<String, PipelineFileError> {
    let (folder, real) = (within.canonicalize()?, file.canonicalize()?);
    if !real.starts_with(&folder) {
        return Err(PipelineFileError::Outside(folder.display().to_string()));
    }
    let bytes = regular::read_bounded(&real, FILE_BYTES_MAX)?.ok_or(PipelineFileError::TooLarge)?;
    let text = String::from_utf8(bytes).map_err(|_| PipelineFileError::NoText)?;
    // A mark of the byte order, which editors of Windows write, is no part of a prompt, and stands before no front matter.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// A place where a file may be, and the folder that links in it do not lead out of.
#[derive(Debug, PartialEq, Eq)]
struct PlacedFile {
    within: PathBuf,
    file: PathBuf,
}

/// Where a file may be: beside the pipeline, and for roles and prompts in the folders above, up to that of the repository.
fn candidates(folder: &Path, path: &str) -> Vec<PlacedFile> {
    let path = Path::new(path);
    let parts: Vec<Component<'_>> = path.components().collect();
    let shared = parts.iter().position(|part| SHARED.iter().any(|name| part.as_os_str() == *name));
    let (Some(at), Ok(folder)) = (shared, std::path::absolute(folder)) else {
        return vec![PlacedFile { within: folder.to_owned(), file: folder.join(path) }];
    };
    let (below, rest): (PathBuf, PathBuf) = (parts[..at].iter().collect(), parts[at..].iter().collect());
    let top = folder.ancestors().find(|above| above.join(".git").exists()).unwrap_or(&folder);
    let own = folder.join(below);
    let above = own.ancestors().take_while(|above| above.starts_with(top));
    above.map(|above| PlacedFile { within: top.to_owned(), file: above.join(&rest) }).collect()
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

    #[test]
    fn a_link_is_followed_within_the_pipelines_folder_and_no_further_and_a_pipe_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir_all(at("flows/texts")).unwrap();
        std::fs::write(at("secret"), "of the reader").unwrap();
        std::fs::write(at("flows/texts/a.md"), "text").unwrap();
        std::os::unix::fs::symlink(at("secret"), at("flows/out.md")).unwrap();
        std::os::unix::fs::symlink(root.path(), at("flows/up")).unwrap();
        std::os::unix::fs::symlink("texts/a.md", at("flows/in.md")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("flows/zero")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(at("flows/pipe")).status().unwrap();
        assert!(made.success());
        let read = |path: &str| super::read(&at("flows"), path);
        assert_eq!(read("in.md"), Ok(Some("text".to_owned())));
        for out in ["out.md", "up/secret", "zero"] {
            assert!(read(out).unwrap_err().contains("a link leads out of"), "{out}");
        }
        assert!(read("pipe").unwrap_err().contains("no regular file"));
        std::fs::write(at("flows/large"), vec![b'x'; 1024 * 1024 + 1]).unwrap();
        assert!(read("large").unwrap_err().contains("1 MiB"));
        assert_eq!(read("none.md"), Ok(None));
        // The folder itself may be reached by a link.
        std::os::unix::fs::symlink(at("flows"), at("link")).unwrap();
        assert_eq!(super::read(&at("link"), "texts/a.md"), Ok(Some("text".to_owned())));
    }
}

//! Measures what people approve: files of a workspace, and its commit.
//!
//! Law: it reads and changes nothing that a step sees. What is looked at is bounded; beyond the bound it fails, because
//! bytes that were not read cannot be approved.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use everfold_base::blobs::Blobs;
use everfold_base::failure::{Failure, FailureKind, NO_ROOM_CODE};
use everfold_ports::{Artefact, Inspector, KeepRequest, LookRequest, LookSpec, SeenKind, SeenPart};
use everfold_system::os_error::is_shortage;
use everfold_system::regular;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::git::{measured_commit, unable};
use crate::kept_files::FileArchive;
use crate::secret::SecretResolver;
use crate::workspace_path::{ResolvedPath, resolve};

/// The largest file that is measured.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The most bytes of all files of one look.
const ALL_BYTES_MAX: u64 = 4 * FILE_BYTES_MAX;

/// The code of a failure because a file is too large to be measured.
const TOO_LARGE: &str = "SHOWN_TOO_LARGE";

/// Measures what lies in workspaces.
#[derive(Clone, Default)]
pub struct WorkspaceInspector(Option<FileArchive>);

impl WorkspaceInspector {
    /// One that keeps the files that people are asked about.
    pub(crate) fn keeping(blobs: Arc<dyn Blobs>, secrets: SecretResolver) -> Self {
        Self(Some(FileArchive { blobs, secrets }))
    }
}

impl Inspector for WorkspaceInspector {
    fn look(&self, request: LookRequest) -> BoxFuture<'static, Result<Vec<SeenPart>, Failure>> {
        async move {
            let LookRequest { workdir, spec: LookSpec { files, commit }, .. } = request;
            let folder = workdir.path.clone();
            let measure = move || measured(&folder, files.into_iter().collect());
            let mut found = tokio::task::spawn_blocking(measure).await.unwrap_or_else(|error| {
                Err(Failure::new(FailureKind::Error, format!("looking at files failed: {error}")))
            })?;
            if commit {
                let hash = measured_commit(&workdir).await.map_err(|error| unable(&error))?;
                found.push(SeenPart { kind: SeenKind::Commit, what: "commit".to_owned(), hash });
            }
            Ok(found)
        }
        .boxed()
    }

    fn keep(&self, request: KeepRequest) -> BoxFuture<'static, Result<Vec<Artefact>, Failure>> {
        match self.0.clone() {
            Some(archive) => archive.keep(request).boxed(),
            None => std::future::ready(Ok(Vec::new())).boxed(),
        }
    }
}

/// The files that are there, and those that are wanted and missing.
fn measured(folder: &Path, files: Vec<(String, bool)>) -> Result<Vec<SeenPart>, Failure> {
    let mut found = Vec::new();
    let mut left = ALL_BYTES_MAX;
    for (path, is_wanted) in files {
        let file = match (folder.is_dir(), is_wanted) {
            // Nothing has worked there yet.
            (false, _) => None,
            (true, _) => match resolve(folder, &path) {
                ResolvedPath::Inside(file) if file.is_file() => Some(file),
                // It would count as missing, whatever lies in it by the time of the vote and behind it.
                ResolvedPath::Inside(there) if is_wanted && there.exists() => return Err(no_file(&path)),
                ResolvedPath::Inside(_) | ResolvedPath::Missing => None,
                // A text that leads elsewhere is a text.
                ResolvedPath::Outside(_) if !is_wanted => None,
                ResolvedPath::Outside(reason) => {
                    return Err(Failure::new(FailureKind::Validation, reason)
                        .with_hint("show files of the workspace only"));
                }
            },
        };
        let hash = match file {
            Some(file) => Some(hash_of(&path, &file, &mut left)?),
            None if is_wanted => None,
            None => continue,
        };
        found.push(SeenPart { kind: SeenKind::File, what: path, hash });
    }
    Ok(found)
}

fn no_file(path: &str) -> Failure {
    Failure::new(
        FailureKind::Validation,
        format!("{path} is no file: what lies in a folder is not shown by its name"),
    )
    .with_hint("show its files one by one, or all of the worktree with `commit: true`")
}

/// BLAKE3 of a file's bytes, read piece by piece.
fn hash_of(path: &str, file: &Path, left: &mut u64) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        let failure = Failure::new(FailureKind::Spawn, format!("{path} cannot be read: {error}"));
        let code = is_shortage(&error).then(|| NO_ROOM_CODE.to_owned());
        Failure { code, ..failure }
    };
    let max = FILE_BYTES_MAX.min(*left);
    let mut reader = regular::open(file).map_err(failed)?.take(max + 1);
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        let read = match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        size += read as u64;
        hasher.update(&piece[..read]);
    }
    if size > max {
        let message = format!(
            "{path} is too large to be approved: one file has at most {FILE_BYTES_MAX} bytes, all together {ALL_BYTES_MAX}"
        );
        let failure =
            Failure { code: Some(TOO_LARGE.to_owned()), ..Failure::new(FailureKind::Validation, message) };
        return Err(failure.with_hint("show a file with its hash in place of it"));
    }
    *left -= size;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &Path, files: &[(&str, bool)]) -> Result<Vec<(String, Option<String>)>, Failure> {
        let files = files.iter().map(|(path, wanted)| ((*path).to_owned(), *wanted)).collect();
        Ok(measured(folder, files)?.into_iter().map(|part| (part.what, part.hash)).collect())
    }

    #[test]
    fn a_file_has_the_hash_of_its_bytes_and_only_a_wanted_one_is_missing() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("plan.md"), "a plan").unwrap();
        std::fs::create_dir(home.path().join("docs")).unwrap();
        let hash = blake3::hash(b"a plan").to_hex().to_string();
        let looked =
            found(home.path(), &[("plan.md", false), ("v1.2", false), ("none.md", true), ("docs", false)]);
        let missing = |path: &str| (path.to_owned(), None);
        assert_eq!(looked.unwrap(), [("plan.md".to_owned(), Some(hash)), missing("none.md")]);
        let failure = found(home.path(), &[("docs", true)]).unwrap_err();
        assert!(failure.message.starts_with("docs is no file"), "{}", failure.message);
        let nowhere = home.path().join("none");
        assert_eq!(found(&nowhere, &[("plan.md", true), ("x.md", false)]).unwrap(), [missing("plan.md")]);
    }

    #[test]
    fn a_wanted_file_outside_of_the_workspace_fails_and_a_text_that_leads_there_is_a_text() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(found(home.path(), &[("../secret", false)]).unwrap(), []);
        let failure = found(home.path(), &[("../secret", true)]).unwrap_err();
        assert!(failure.message.contains("leads out of the workspace"), "{}", failure.message);
    }

    #[test]
    fn what_is_too_large_is_not_approved() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("big");
        std::fs::write(&file, [0; 100]).unwrap();
        let mut left = 99;
        let failure = hash_of("big", &file, &mut left).unwrap_err();
        assert_eq!(failure.code.as_deref(), Some(TOO_LARGE));
        left = 100;
        assert!(hash_of("big", &file, &mut left).is_ok() && left == 0);
    }
}

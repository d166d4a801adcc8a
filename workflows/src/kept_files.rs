//! Keeps the bytes of the files that people are asked about, as blobs of the run.
//!
//! Law: what is kept has the hash that was shown, and holds no secret. What cannot be kept so is left out: its hash is recorded all the same.

use std::path::Path;
use std::sync::Arc;

use everfold_base::blobs::Blobs;
use everfold_base::failure::{Failure, FailureKind, NO_ROOM_CODE};
use everfold_base::id::RunId;
use everfold_ports::{Artefact, KeepRequest, SeenKind, SeenPart};
use everfold_system::os_error::is_shortage;
use everfold_system::regular;

use crate::secret::{Mask, SecretResolver};
use crate::workspace_path::{ResolvedPath, resolve};

/// The largest file that is kept.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The most bytes of all files of one look that are kept.
const ALL_BYTES_MAX: u64 = 4 * FILE_BYTES_MAX;

/// Where files are kept, and what they must not hold.
#[derive(Clone)]
pub(crate) struct FileArchive {
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) secrets: SecretResolver,
}

impl FileArchive {
    /// Keeps what a look found.
    pub(crate) async fn keep(self, request: KeepRequest) -> Result<Vec<Artefact>, Failure> {
        let KeepRequest { run, workdir, found, secrets } = request;
        if found.iter().all(|part| part.kind != SeenKind::File || part.hash.is_none()) {
            return Ok(Vec::new());
        }
        let mask = self.secrets.mask(&self.secrets.all_of(&secrets).await);
        let kept = tokio::task::spawn_blocking(move || kept(&*self.blobs, run, &workdir.path, &found, &mask));
        kept.await.unwrap_or_else(|error| {
            Err(Failure::new(FailureKind::Error, format!("keeping what is shown failed: {error}")))
        })
    }
}

fn kept(
    blobs: &dyn Blobs,
    run: RunId,
    folder: &Path,
    found: &[SeenPart],
    mask: &Mask,
) -> Result<Vec<Artefact>, Failure> {
    let (mut kept, mut left) = (Vec::new(), ALL_BYTES_MAX);
    for SeenPart { kind, what: path, hash } in found {
        let (SeenKind::File, Some(hash), ResolvedPath::Inside(file)) = (*kind, hash, resolve(folder, path))
        else {
            continue;
        };
        // What cannot be read any more is not what was found.
        let Ok(Some(bytes)) = regular::read_bounded(&file, FILE_BYTES_MAX.min(left)) else { continue };
        if blake3::hash(&bytes).to_hex().as_str() != hash || mask.bytes(&bytes).is_some() {
            continue;
        }
        left -= bytes.len() as u64;
        let blob = blobs.put(run, &bytes).map_err(|error| {
            let failure = Failure::new(FailureKind::Spawn, format!("{path} cannot be kept: {error}"));
            let code = is_shortage(&error).then(|| NO_ROOM_CODE.to_owned());
            Failure { code, ..failure }
        })?;
        kept.push(Artefact { name: path.clone(), path: path.clone(), blob });
    }
    Ok(kept)
}

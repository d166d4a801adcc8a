//! The port for looking at what people approve, and for keeping it.
//!
//! Law: it changes nothing that a step sees; the same bytes give the same hashes.

use everfold_base::failure::Failure;
use everfold_base::id::RunId;
use everfold_core::artefact::Artefact;
use everfold_core::event::SeenPart;
use everfold_core::seen::LookSpec;
use futures::future::BoxFuture;

use crate::secrets::Secrets;
use crate::workdir::Workdir;

/// What is to be found in a workspace.
#[derive(Debug, Clone)]
pub struct LookRequest {
    /// The run.
    pub run: RunId,
    /// Where.
    pub workdir: Workdir,
    /// Files, and whether the commit.
    pub spec: LookSpec,
}

/// What was found, to be kept.
#[derive(Debug, Clone)]
pub struct KeepRequest {
    /// The run.
    pub run: RunId,
    /// Where.
    pub workdir: Workdir,
    /// What a look found.
    pub found: Vec<SeenPart>,
    /// The secrets of the run, none of which is kept.
    pub secrets: Secrets,
}

/// Measures files and commits.
pub trait Inspector: Send + Sync + 'static {
    /// The hashes of what is there. A file that is wanted and missing has none.
    ///
    /// # Errors
    /// A path leads out of the workspace, a file is too large or cannot be read. One with the code
    /// [`NO_ROOM_CODE`](everfold_base::failure::NO_ROOM_CODE) may pass.
    fn look(&self, request: LookRequest) -> BoxFuture<'static, Result<Vec<SeenPart>, Failure>>;

    /// Keeps the bytes of files that were found, so that they can be shown for as long as the run is there. A file that is too large, that has
    /// changed since or that holds a secret is left out.
    ///
    /// # Errors
    /// The bytes cannot be written. A failure with the code [`NO_ROOM_CODE`](everfold_base::failure::NO_ROOM_CODE) may pass.
    fn keep(&self, _request: KeepRequest) -> BoxFuture<'static, Result<Vec<Artefact>, Failure>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

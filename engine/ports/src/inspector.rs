//! The port for looking at what people approve.
//!
//! Law: it reads and changes nothing; the same bytes give the same hashes.

use everfold_base::failure::Failure;
use everfold_base::id::RunId;
use everfold_core::event::SeenPart;
use everfold_core::seen::LookSpec;
use futures::future::BoxFuture;

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

/// Measures files and commits.
pub trait Inspector: Send + Sync + 'static {
    /// The hashes of what is there. A file that is wanted and missing has none.
    ///
    /// # Errors
    /// A path leads out of the workspace, a file is too large or cannot be read. One with the code
    /// [`NO_ROOM_CODE`](everfold_base::failure::NO_ROOM_CODE) may pass.
    fn look(&self, request: LookRequest) -> BoxFuture<'static, Result<Vec<SeenPart>, Failure>>;
}

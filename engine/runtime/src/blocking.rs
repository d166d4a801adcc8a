//! Work that waits for files, beside the shards.
//!
//! Law: a shard never waits for a file. A simulation keeps its files in memory and has one thread, so
//! that what comes first does not depend on the machine.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::panic::panic_text;

/// Where such work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Blocking {
    /// On threads of their own.
    #[default]
    Threads,
    /// Here and now: for blobs that are kept in memory.
    Inline,
}

impl Blocking {
    /// Does the work; an error where it panicked.
    pub(crate) async fn run<R: Send + 'static>(
        self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, String> {
        match self {
            Self::Threads => tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string()),
            Self::Inline => catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_text(panic.as_ref())),
        }
    }
}

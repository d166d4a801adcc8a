//! Copies of histories that a crash cut short: they are no runs, and are listed as what they are.
//!
//! Law: nothing is removed. The log only grows, and a copy is completed where its request is repeated with the same
//! idempotency key (D11); until then it blocks nothing, and nothing of it is started.

use crate::error::QueryError;
use crate::runtime::Runtime;
use everfold_base::envelope::{StreamId, flag};
use everfold_base::id::{RunId, Version};
use everfold_store::{ReadError, StreamNote};

/// A copy of a history that no `RunForked` has made a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutCopy {
    /// The run that it would have become.
    pub run: RunId,
    /// Events that were copied.
    pub events: Version,
}

/// The note of a copy in the store, by which recovery finds it: busy, and no open run.
pub(crate) const COPYING: StreamNote = StreamNote { open: false, busy: true, wake_at: None };

/// Copies that a crash cut short, among all streams that are due.
pub(crate) async fn all_cut_copies(shared: &Runtime) -> Result<Vec<CutCopy>, QueryError> {
    let found = async { shared.cut_copies(&shared.store.due(shared.now()).await?).await }.await;
    found.map_err(|error| QueryError::Store(error.to_string()))
}

impl Runtime {
    /// Those among the streams that are due.
    pub(crate) async fn cut_copies(&self, due: &[StreamId]) -> Result<Vec<CutCopy>, ReadError> {
        let runs: Vec<StreamId> = due.iter().filter(|stream| stream.as_run().is_some()).cloned().collect();
        let heads = self.store.heads(runs.clone()).await?;
        let mut found = Vec::new();
        for (stream, head) in runs.iter().zip(heads) {
            let (Some(run), Some(head)) = (stream.as_run(), head.filter(|head| head.note == COPYING)) else {
                continue;
            };
            // A run that has ended may have something to be done, too.
            let last = self.store.read(stream, head.version, 1).await?;
            if last.first().is_some_and(|last| last.header.flags & flag::COPIED != 0) {
                found.push(CutCopy { run, events: head.version });
            }
        }
        Ok(found)
    }
}

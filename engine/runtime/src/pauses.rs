//! Pauses of pipelines and of the engine: has them recorded, and tells the runs.
//!
//! Law (S9): what is paused is durable on its own stream first; each run is informed by an input of its
//! own, at least once: when it is loaded, when it is gone on with, and when the pauses change. A run
//! whose state does not say so yet starts nothing.

use futures::StreamExt as _;

use crate::ledger::{Change, LedgerError};
use crate::runtime::Runtime;
use crate::streams::triggers::by::By;
use everfold_base::envelope::StreamKind;
use everfold_base::id::{Position, RunId};
use everfold_core::event::HaltScope;
use everfold_core::pauses::{PauseRefusal, Pauses, Wanted};
use everfold_store::{AppendError, ReadError};

/// Streams that are listed at once.
const PAGE: usize = 1_000;
/// Runs that are informed at once.
const TELLING_MAX: usize = 256;

/// Why a pause was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HaltError {
    /// It makes no sense now.
    #[error(transparent)]
    Refused(#[from] PauseRefusal),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The stream holds what this Everfold cannot read.
    #[error("the stream engine/halts cannot be read: {0}")]
    Unreadable(String),
}

/// A pause, or the end of one, that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halting {
    /// The place of the event.
    pub position: Position,
    /// Something was recorded; false where it was so already.
    pub changed: bool,
    /// It was recorded before, under the same key.
    pub repeated: bool,
    /// Unended runs that were looked at.
    pub runs: usize,
}

impl From<LedgerError> for HaltError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Read(error) => Self::Read(error),
            LedgerError::Append(error) => Self::Append(error),
            LedgerError::Unreadable { what, .. } => Self::Unreadable(what),
        }
    }
}

/// Records a pause or the end of one, and has every unended run that is concerned look at it.
pub(crate) async fn halt(
    shared: &Runtime,
    wanted: Wanted,
    scope: HaltScope,
    reason: Option<&str>,
    by: By,
) -> Result<Halting, HaltError> {
    let By { actor, dedup } = by;
    let decide = |halts: &Pauses, _at| halts.decide(wanted, &scope, reason).map_err(HaltError::from);
    let change: Result<Change, HaltError> = shared.halts.change(actor, dedup, decide).await;
    let may_hold = match &change {
        Ok(_) | Err(HaltError::Append(AppendError::Unknown(_))) => true,
        Err(HaltError::Refused(PauseRefusal::NotHalted(_))) => true,
        Err(_) => false,
    };
    // Also where nothing changed, or is not known to have: an order before this one may not have informed them all.
    let runs = if may_hold { tell_runs(shared, wanted).await } else { Ok(0) };
    let Change { position, changed, repeated } = change?;
    Ok(Halting { position, changed, repeated, runs: runs? })
}

/// Has every unended run look at the pauses.
async fn tell_runs(shared: &Runtime, wanted: Wanted) -> Result<usize, HaltError> {
    // An engine that attends to all runs resumes those that may go on now.
    let drives =
        wanted == Wanted::Release && shared.wakes.attended.load(std::sync::atomic::Ordering::Acquire);
    let (mut after, mut informed) = (None, 0);
    loop {
        let page = shared.store.streams(StreamKind::Run, after, PAGE).await?;
        let open: Vec<RunId> =
            page.iter().filter(|(_, head)| head.note.open).filter_map(|(id, _)| id.as_run()).collect();
        informed += open.len();
        let mut telling = futures::stream::iter(open.into_iter().map(|run| shared.align(run, drives)))
            .buffer_unordered(TELLING_MAX);
        while let Some(sent) = telling.next().await {
            if sent.is_err() {
                return Ok(0); // The engine ends; the next one informs them.
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == PAGE => after = Some(last.id.to_string()),
            _ => return Ok(informed),
        }
    }
}

//! Pauses of pipelines and of the engine: recorded, and passed on to the runs.
//!
//! Law (S9): what is paused is durable on its own stream first; each run is informed by an input of its
//! own, at least once: when it is loaded, when it is resumed, and when the pauses change. A run
//! that has not folded that input yet starts nothing.

use futures::StreamExt as _;

use crate::aggregate_store::{AggregateError, Change};
use crate::runtime::Runtime;
use crate::stream_listing::StreamListing;
use crate::streams::triggers::by::By;
use everfold_base::envelope::StreamKind;
use everfold_base::id::{Position, RunId};
use everfold_core::event::HaltScope;
use everfold_core::pauses::{PauseOrder, PauseRefusal, Pauses};
use everfold_store::{AppendError, ReadError};

/// Runs that are informed at once.
const INFORMED_MAX: usize = 256;

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

impl From<AggregateError> for HaltError {
    fn from(error: AggregateError) -> Self {
        match error {
            AggregateError::Read(error) => Self::Read(error),
            AggregateError::Append(error) => Self::Append(error),
            AggregateError::Unreadable { what, .. } => Self::Unreadable(what),
        }
    }
}

/// Records a pause or the end of one, and has every unended run compare itself with the pauses.
pub(crate) async fn halt(
    shared: &Runtime,
    wanted: PauseOrder,
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
    // Also where nothing changed, or the outcome is unknown: a former request may not have informed all runs.
    let runs = if may_hold { inform_runs(shared, wanted).await } else { Ok(0) };
    let Change { position, changed, repeated } = change?;
    Ok(Halting { position, changed, repeated, runs: runs? })
}

/// Has every unended run compare itself with the pauses.
async fn inform_runs(shared: &Runtime, wanted: PauseOrder) -> Result<usize, HaltError> {
    // An engine that resumes all runs drives those that may go on now.
    let drives =
        wanted == PauseOrder::Release && shared.wakes.attended.load(std::sync::atomic::Ordering::Acquire);
    let mut informed = 0;
    let mut listing = StreamListing::new(shared.store.as_ref(), StreamKind::Run);
    while let Some(page) = listing.next().await? {
        let open: Vec<RunId> =
            page.iter().filter(|(_, head)| head.note.open).filter_map(|(id, _)| id.as_run()).collect();
        informed += open.len();
        let mut informing = futures::stream::iter(open.into_iter().map(|run| shared.align(run, drives)))
            .buffer_unordered(INFORMED_MAX);
        while let Some(sent) = informing.next().await {
            if sent.is_err() {
                return Ok(0); // The engine ends; the next one informs the runs.
            }
        }
    }
    Ok(informed)
}

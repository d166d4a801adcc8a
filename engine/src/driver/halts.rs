//! Pauses of pipelines and of the engine: has them recorded, and tells the runs.
//!
//! Law (S9): what is paused is durable on its own stream first; each run is told by an input of its
//! own, at least once: when it is loaded, when it is gone on with, and when the pauses change. A run
//! whose state does not say so yet starts nothing.

use std::sync::Arc;

use futures::StreamExt as _;

use super::{By, Engine};
use crate::envelope::StreamKind;
use crate::event::HaltScope;
use crate::halts::{HaltRefusal, Halts, Wanted};
use crate::id::{Position, RunId};
use crate::ledger::{Change, LedgerError};
use crate::store::{AppendError, ReadError};

/// Streams that are listed at once.
const PAGE: usize = 1_000;
/// Runs that are told at once.
const TELLING_MAX: usize = 256;

/// Why a pause was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HaltError {
    /// It makes no sense now.
    #[error(transparent)]
    Refused(#[from] HaltRefusal),
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

impl Engine {
    /// The pauses in force.
    ///
    /// # Errors
    /// [`HaltError`]: their stream cannot be read.
    pub async fn halts(&self) -> Result<Arc<Halts>, HaltError> {
        Ok(self.inner.shared.halts.current().await?)
    }

    /// Pauses a pipeline or the whole engine, or ends such a pause. Resolves when that is durable and
    /// every unended run that is concerned has been told.
    ///
    /// # Errors
    /// [`HaltError`].
    pub async fn halt(
        &self,
        wanted: Wanted,
        scope: HaltScope,
        reason: Option<&str>,
        by: impl Into<By>,
    ) -> Result<Halting, HaltError> {
        let By { actor, dedup } = by.into();
        let decide = |halts: &Halts, _at| halts.decide(wanted, &scope, reason).map_err(HaltError::from);
        let change: Result<Change, HaltError> = self.inner.shared.halts.change(actor, dedup, decide).await;
        let may_hold = match &change {
            Ok(_) | Err(HaltError::Append(AppendError::Unknown(_))) => true,
            Err(HaltError::Refused(HaltRefusal::NotHalted(_))) => true,
            Err(_) => false,
        };
        // Also where nothing changed, or is not known to have: an order before this one may not have told them all.
        let runs = if may_hold { self.tell_runs(wanted).await } else { Ok(0) };
        let Change { position, changed, repeated } = change?;
        Ok(Halting { position, changed, repeated, runs: runs? })
    }

    /// Has every unended run look at the pauses.
    async fn tell_runs(&self, wanted: Wanted) -> Result<usize, HaltError> {
        let shared = &self.inner.shared;
        // Whoever looks after all runs goes on with those that may go on now.
        let drives =
            wanted == Wanted::Release && shared.wakes.attended.load(std::sync::atomic::Ordering::Acquire);
        let (mut after, mut told) = (None, 0);
        loop {
            let page = shared.store.streams(StreamKind::Run, after, PAGE).await?;
            let open: Vec<RunId> =
                page.iter().filter(|(_, head)| head.note.open).filter_map(|(id, _)| id.as_run()).collect();
            told += open.len();
            let mut telling = futures::stream::iter(open.into_iter().map(|run| shared.align(run, drives)))
                .buffer_unordered(TELLING_MAX);
            while let Some(told) = telling.next().await {
                if told.is_err() {
                    return Ok(0); // The engine ends; the next one tells them.
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => after = Some(last.id.to_string()),
                _ => return Ok(told),
            }
        }
    }
}

//! Brings unindexed appends into the index.
//!
//! Law: an index that does not take what it is given is rebuilt from the journal; nothing is lost meanwhile, the appends
//! stay unindexed.
//!
//! Run by a thread of the store when there is enough, by the checkpointer before a checkpoint, and by readers that need
//! what is not in the index yet.

use std::sync::Arc;

use super::error::ReadError;
use super::rebuild_index;
use super::sled::{Behind, Index};
use super::store_core::StoreCore;
use super::write_gate::IndexHealth;
use everfold_base::envelope::StreamId;

/// Which unindexed appends a reader needs in the index.
#[derive(Debug, Clone)]
pub(crate) enum Needs {
    Nothing,
    Stream(StreamId),
    All,
}

/// The index, with all that a reader needs brought in.
pub(crate) fn index_with(core: &StoreCore, needs: &Needs) -> Result<Arc<Index>, ReadError> {
    match needs {
        Needs::Stream(stream) if core.unindexed.head(stream).is_some() => bring_in_or_rebuild(core)?,
        Needs::Stream(_) | Needs::Nothing => {}
        Needs::All => bring_in_or_rebuild(core)?,
    }
    core.index()
}

/// Brings in all that is unindexed. An index that fails is rebuilt.
pub(crate) fn bring_in_or_rebuild(core: &StoreCore) -> Result<(), ReadError> {
    let brought = bring_in(core);
    if let Err(error) = &brought
        && core.unindexed.has_failed()
        && *core.gate.index().borrow() == IndexHealth::Whole
    {
        tracing::error!(%error, "the index failed; it is built again from the journal");
        core.gate.set_index(IndexHealth::Building);
        core.checkpoints.request_rebuild();
    }
    core.unindexed.notify();
    brought
}

/// The same, and leaves an index that fails to the caller.
pub(crate) fn bring_in(core: &StoreCore) -> Result<(), ReadError> {
    let brought = bring_in_batches(core);
    core.unindexed.notify();
    brought
}

fn bring_in_batches(core: &StoreCore) -> Result<(), ReadError> {
    let _turn = core.unindexed.turn();
    // Once for what an earlier try left, once for what is here now.
    for _ in 0..2 {
        let Some(batch) = core.unindexed.start_moving() else { return Ok(()) };
        let index = core.index()?;
        let held = index.held();
        let outcome = match batch.span() {
            Some((first, _)) if first == held.next() => {
                index.apply(&batch, Behind::Nothing).map_err(ReadError::from)
            }
            // It was rebuilt meanwhile, as far as the journal went then.
            Some((_, last)) if last > held => {
                rebuild_index::fill(&index, &core.options, &core.segments, last).map(|_| ())
            }
            Some(_) | None => Ok(()),
        };
        core.unindexed.finish_moving(outcome.is_ok());
        outcome?;
    }
    Ok(())
}

/// Brings in what is enough, until the store is closed. The thread's whole life.
pub(crate) fn run(core: &StoreCore) {
    let health = core.gate.index();
    while core.unindexed.wait_for_enough(&health) {
        // The error has been logged, and the checkpointer asked to rebuild the index.
        let _logged = bring_in_or_rebuild(core);
    }
}

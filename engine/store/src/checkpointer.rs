//! Checkpoints of the index, and rebuilding it when it failed.
//!
//! Law: a checkpoint only saves work at the next start; it proves nothing and may fail. `store.json` never says more
//! than the journal holds durably. The writer waits for an index that is being built, so a build that ends in a panic
//! has failed like any other.
//!
//! A thread of the store. While nothing was written it sleeps, but for a look at the names of folder, lock and segment.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::checkpoint_requests::CheckpointRequests;
use super::disk_reserve;
use super::error::ReadError;
use super::index_writer;
use super::manifest::IndexState;
use super::paths::{index_folder, new_index_folder};
use super::rebuild_index;
use super::sled;
use super::sled::Index;
use super::store_core::StoreCore;
use super::write_gate::IndexHealth;

/// How long written groups wait for a checkpoint of the index.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(5);
/// How often it is looked whether the folder is this process's still, while nothing is written.
const LOOK_AFTER: Duration = Duration::from_secs(5);
/// How long to wait before an index that could not be built is tried again.
const REBUILD_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Does what is requested of it for one store.
pub(crate) struct Checkpointer<'a> {
    pub(crate) core: &'a StoreCore,
    pub(crate) requests: &'a CheckpointRequests,
}

impl Checkpointer<'_> {
    /// The thread's whole life.
    pub(crate) fn run(&self) {
        let (core, requests) = (self.core, self.requests);
        let mut requested = requests.requested();
        while !requested.stop {
            if requested.rebuild {
                // Before the work: a group that fails meanwhile asks for another round.
                requested.rebuild = false;
                drop(requested);
                let rebuilt = guarded(|| tried_twice(core))
                    .unwrap_or_else(|why| Err(IndexHealth::Failed { why: why.to_owned(), is_full: false }));
                requested = requests.requested();
                match rebuilt {
                    Ok(()) if !requested.rebuild => core.gate.set_index(IndexHealth::Whole),
                    Ok(()) => {}
                    Err(failed) => {
                        core.gate.set_index(failed);
                        requested = requests.wait_for(requested, REBUILD_AGAIN_AFTER);
                        requested.rebuild = true;
                    }
                }
            } else if requested.checkpoint {
                let renew_after = core.options.renew_manifest_after.min(CHECKPOINT_AFTER);
                requested = requests.wait_for(requested, renew_after);
                if requested.stop || requested.rebuild {
                    continue;
                }
                if renew_after < CHECKPOINT_AFTER {
                    drop(requested);
                    if let Ok(Err(error)) = guarded(|| renew_manifest(core)) {
                        tracing::debug!(%error, "store.json stays what it was until the next checkpoint");
                    }
                    requested =
                        requests.wait_for(requests.requested(), CHECKPOINT_AFTER.saturating_sub(renew_after));
                }
                if requested.stop || requested.rebuild {
                    continue;
                }
                requested.checkpoint = false;
                drop(requested);
                match guarded(|| checkpoint(core)) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the index could not be made durable; a start may take longer");
                    }
                    Err(why) => {
                        tracing::error!(why, "a checkpoint failed; the next one is made all the same")
                    }
                }
                requested = requests.requested();
            } else {
                requested = requests.wait(requested, LOOK_AFTER);
                if !requested.stop && !requested.rebuild && !requested.checkpoint {
                    drop(requested);
                    // Where nothing is written, nothing else learns that the folder is gone.
                    let _logged = core.check_ours();
                    requested = requests.requested();
                }
            }
        }
    }
}

/// Turns a panic into an error: this thread lives as long as the store.
fn guarded<T>(body: impl FnOnce() -> T) -> Result<T, &'static str> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|_panic| "a panic within Everfold")
}

/// Builds the index again. What failed for any cause but a full disk is tried once more at once: the
/// disk may have been full, and not be so any more by the time it is looked at.
fn tried_twice(core: &StoreCore) -> Result<(), IndexHealth> {
    let mut is_second = false;
    loop {
        let Err(error) = rebuild(core) else { return Ok(()) };
        tracing::error!(%error, "the index could not be built again; trying once more");
        let is_full = disk_reserve::is_wanted_by(&error, &core.folder);
        // Half an index would keep the room that the next try needs.
        let is_ours = core.check_ours().is_ok();
        if is_ours {
            rebuild_index::discard(&core.folder);
        }
        if is_full || is_second || !is_ours {
            return Err(IndexHealth::Failed { why: error.to_string(), is_full });
        }
        is_second = true;
    }
}

/// Replaces `store.json` as soon as something is written after a checkpoint: a backup of before is another file then,
/// also where its bytes are put into the files that lie there.
fn renew_manifest(core: &StoreCore) -> Result<(), ReadError> {
    if core.check_ours().is_err() {
        return Ok(()); // Logged before.
    }
    core.write_manifest(|_| {})
}

/// Makes the index durable and says in `store.json` how far the journal goes.
fn checkpoint(core: &StoreCore) -> Result<(), ReadError> {
    if core.check_ours().is_err() {
        return Ok(()); // Logged before.
    }
    if let Err(error) = disk_reserve::keep(core.files.as_ref(), &core.folder, &core.options.segments) {
        tracing::debug!(%error, "no room for the reserve");
    }
    index_writer::bring_in_or_rebuild(core)?;
    let index = core.index()?;
    index.expire((core.options.clock)())?;
    index.checkpoint()?;
    core.write_manifest(|_| {})
}

/// Builds the index again from the journal, beside the old one, and replaces that.
fn rebuild(core: &StoreCore) -> Result<(), ReadError> {
    is_still_ours(core)?;
    // What was published by now is in the index or unindexed; what comes meanwhile need not be.
    let published = core.published.borrow().position;
    if !core.unindexed.has_failed()
        && let Err(error) = index_writer::bring_in(core)
    {
        tracing::warn!(%error, "the index takes no more");
    }
    if core.index().map_or(true, |index| index.held() < published) {
        // Readers may not see less than was acknowledged: they wait.
        if let Some(old) = core.set_index(None) {
            sled::close_when_unused(old);
        }
        match reopen(core) {
            Ok(()) => return Ok(()),
            Err(error @ ReadError::IndexInUse(_)) => return Err(error),
            Err(error) => tracing::warn!(%error, "the index cannot go on and is built anew"),
        }
    }
    let last = core.manifest().journal.position;
    let beside = new_index_folder(&core.folder);
    drop(rebuild_index::build(&beside, &core.options, &core.segments, last)?);
    if let Some(old) = core.set_index(None) {
        sled::close_when_unused(old);
    }
    is_still_ours(core)?;
    core.manifest().index = IndexState::Building;
    core.write_manifest(|_| {})?;
    let index = rebuild_index::swap(&core.folder, &core.options)?;
    // What was under way when it failed has been published since.
    let last = core.manifest().journal.position;
    rebuild_index::fill(&index, &core.options, &core.segments, last)?;
    index.flush()?;
    core.manifest().index = IndexState::Open { boot: core.options.boot_id.clone() };
    core.write_manifest(|_| {})?;
    core.set_index(Some(index));
    core.unindexed.index_replaced();
    tracing::info!("the index is built again");
    Ok(())
}

/// Building takes a while; the folder's ownership is checked again before anything in it is replaced.
fn is_still_ours(core: &StoreCore) -> Result<(), ReadError> {
    core.check_ours().map_err(|lost| ReadError::IndexInUse(lost.to_string()))
}

/// Lets an index that failed under way, on a full disk most likely, go on from where it was: what it
/// holds is a beginning of what the journal holds, as after a kill.
fn reopen(core: &StoreCore) -> Result<(), ReadError> {
    if disk_reserve::is_full(&core.folder) {
        disk_reserve::give_up(core.files.as_ref(), &core.folder);
    }
    let index = Index::open(&index_folder(&core.folder), core.options.cache_bytes)?;
    let last = core.manifest().journal.position;
    if index.held() > last {
        return Err(ReadError::Index("it is ahead of the journal".into()));
    }
    rebuild_index::fill(&index, &core.options, &core.segments, last)?;
    index.flush()?;
    core.set_index(Some(index));
    core.unindexed.index_replaced();
    Ok(())
}

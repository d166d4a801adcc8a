//! Snapshots of a run's state, saved in the background.
//!
//! Law: a snapshot only makes loads cheaper; one that is not saved is logged and missed by no decision.

use crate::run::loaded_run::LoadedRun;
use crate::shard::core::ShardCore;
use crate::shard::job_done::JobDone;
use everfold_core::state::FOLD_VERSION;
use everfold_store::Snapshot;
use std::sync::Arc;

/// A snapshot is looked at from so many events on.
const SNAPSHOT_EVENTS: u64 = 500;
/// … and taken when the events since the last weigh so many times what the state does.
const SNAPSHOT_WEIGHT: u64 = 4;

impl ShardCore {
    /// Keeps a snapshot in the background when loading has become much dearer than the state is large.
    pub(crate) fn keep_snapshot(&mut self, loaded: &mut LoadedRun) {
        let since = &mut loaded.size.since_snapshot;
        if since.events < SNAPSHOT_EVENTS || since.bytes <= SNAPSHOT_WEIGHT * since.state_bytes {
            return;
        }
        let Some(state) = &loaded.state else { return };
        let bytes = state.snapshot();
        since.state_bytes = bytes.len() as u64;
        if since.bytes <= SNAPSHOT_WEIGHT * since.state_bytes {
            return;
        }
        (since.events, since.bytes) = (0, 0);
        let snapshot =
            Snapshot { version: loaded.version, hash: loaded.hash, fold_version: FOLD_VERSION, bytes };
        let (stream, shared) = (loaded.stream.clone(), Arc::clone(&self.shared));
        self.jobs.push(Box::pin(async move {
            if let Err(error) = shared.store.save_snapshot(&stream, snapshot).await {
                tracing::warn!(%stream, %error, "a snapshot was not kept; loads go on without it");
            }
            JobDone::Kept
        }));
    }
}

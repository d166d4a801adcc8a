//! Snapshots of a run's state, saved in the background.
//!
//! Law: a snapshot only makes loads cheaper; one that cannot be saved is logged, and no decision depends on it.

use crate::run::loaded_run::LoadedRun;
use crate::shard::core::ShardCore;
use crate::shard::job_done::JobDone;
use everfold_core::state::FOLD_VERSION;
use everfold_store::Snapshot;
use std::sync::Arc;

/// A snapshot is considered from so many events on.
const SNAPSHOT_EVENTS: u64 = 500;
/// … and saved when the events since the last one have so many times the bytes of the state.
const SNAPSHOT_WEIGHT: u64 = 4;

impl ShardCore {
    /// Saves a snapshot in the background when the events to load are much larger than the state.
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
            JobDone::NoResult
        }));
    }
}

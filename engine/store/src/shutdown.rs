//! Closing a store: its threads end, the index is made durable, `store.json` says so, the folder is released.
//!
//! Law: the manifest calls the index closed only where all threads ended in order and the index holds what the journal
//! holds; otherwise the next start checks more.
//!
//! Called when a store is closed or dropped.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::index_files::ClosedFiles;
use super::index_writer;
use super::journal::prepare::Preparer;
use super::manifest::IndexState;
use super::paths::index_folder;
use super::sled;
use super::store_core::StoreCore;

/// The threads that end with the store.
pub(crate) struct StoreThreads {
    pub(crate) writer: JoinHandle<()>,
    pub(crate) others: Vec<JoinHandle<()>>,
    pub(crate) preparer: Arc<Preparer>,
}

/// Waits for the threads, makes the index durable, records that, and releases the folder.
pub(crate) fn finish(core: &StoreCore, running: &Mutex<Option<StoreThreads>>) {
    let Some(ended) = running.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    close_index(core, ended);
    core.lock.release();
}

fn close_index(core: &StoreCore, ended: StoreThreads) {
    let wrote = ended.writer.join().is_ok();
    ended.preparer.stop();
    core.segments.close();
    core.checkpoints.stop();
    core.unindexed.stop();
    let ended_in_order = ended.others.into_iter().all(|thread| thread.join().is_ok());
    if let Err(error) = index_writer::bring_in(core) {
        tracing::warn!(%error, "the index did not take the last events; the next start brings them in");
    }
    let Some(index) = core.set_index(None) else { return };
    let synced = index.checkpoint();
    let held = index.position();
    sled::close_when_unused(index);
    if core.check_ours().is_err() {
        return; // Logged before; the files there belong to another process.
    }
    let whole = held.is_ok_and(|held| held == core.manifest().journal.position) && core.gate.is_sound();
    let mut closed = None;
    if let Err(error) = &synced {
        tracing::warn!(%error, "the index could not be made durable; the next start builds it again");
    }
    if wrote && ended_in_order && whole && synced.is_ok() {
        let folder = index_folder(&core.folder);
        let settled = sled::sync_released(&folder).map_err(|error| error.to_string());
        let boot = &core.options.boot_id;
        match settled.and_then(|()| ClosedFiles::read(&folder, boot).map_err(|error| error.to_string())) {
            Ok(files) => closed = Some(IndexState::Closed(files)),
            Err(error) => tracing::warn!(error, "the index's end could not be recorded"),
        }
    }
    let written = core.write_manifest(|manifest| {
        if let Some(closed) = closed {
            manifest.index = closed;
        }
    });
    if let Err(error) = written {
        tracing::warn!(%error, "the end could not be recorded; the next start checks more");
    }
}

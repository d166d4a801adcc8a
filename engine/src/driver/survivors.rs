//! Ends work that a former engine left at work and that no run wants any more.
//!
//! A state lists what is to be stopped only for attempts. A probe that a cancel or a rework made
//! pointless is stopped when that is durable, and an engine that ends between the two leaves it.
//!
//! Law: nothing ends that the durable state of its run names. The states are asked after the living
//! were listed, and a folder is never used twice: what is not named then will never be. What cannot
//! be judged (no such run, one that cannot be folded) is left alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::Engine;
use super::engine::shard_of;
use super::members::is_member_of;
use super::message::Message;
use super::shared::Shared;
use crate::effect::{Effect, effects};
use crate::execution::Survivors;
use crate::id::{EffectId, RunId};
use crate::layout::Layout;
use crate::state::RunState;

impl Engine {
    /// Looks, once in the engine's life and beside its work, for what nobody wants any more.
    pub(super) fn end_unwanted(&self) {
        let shared = &self.inner.shared;
        let Some(survivors) = shared.edge.survivors.clone() else { return };
        if shared.looked_for_survivors.swap(true, Ordering::AcqRel) {
            return;
        }
        // The shards end when the engine is dropped: this task does not keep them.
        let shards = self.inner.shards.iter().map(mpsc::Sender::downgrade).collect();
        self.inner.keep(tokio::spawn(end_unwanted(Arc::clone(shared), shards, survivors)));
    }
}

async fn end_unwanted(
    shared: Arc<Shared>,
    shards: Vec<mpsc::WeakSender<Message>>,
    survivors: Arc<dyn Survivors>,
) {
    let mut of_runs: BTreeMap<RunId, Vec<PathBuf>> = BTreeMap::new();
    for folder in survivors.living(shared.layout.all_attempts()).await {
        if let Some(run) = run_of(&folder) {
            of_runs.entry(run).or_default().push(folder);
        }
    }
    let mut ending = Vec::new();
    for (run, folders) in of_runs {
        let Some(wanted) = wanted(&shared.layout, &shards, run).await else { continue };
        for folder in folders.into_iter().filter(|folder| !names(&wanted, folder)) {
            tracing::warn!(folder = %folder.display(), "ending work that its run does not want any more");
            ending.push(survivors.end(folder));
        }
    }
    futures::future::join_all(ending).await;
}

/// Ends all that is at work for a run, whatever its state says.
pub(super) async fn end_all_of(layout: &Layout, survivors: &dyn Survivors, run: RunId) {
    let living = survivors.living(layout.all_attempts()).await;
    let own = living.into_iter().filter(|folder| run_of(folder) == Some(run));
    futures::future::join_all(own.map(|folder| survivors.end(folder))).await;
}

/// The run whose attempts lie beside this one.
fn run_of(folder: &Path) -> Option<RunId> {
    folder.parent()?.file_name()?.to_str()?.parse().ok()
}

fn names(wanted: &[PathBuf], folder: &Path) -> bool {
    wanted.iter().any(|wanted| wanted.file_name() == folder.file_name() || is_member_of(wanted, folder))
}

/// The folders of all that the run's durable state wants to be in progress, or to be stopped.
async fn wanted(layout: &Layout, shards: &[mpsc::WeakSender<Message>], run: RunId) -> Option<Vec<PathBuf>> {
    let (sender, seen) = oneshot::channel();
    let layout = layout.clone();
    let look = Box::new(move |state: Result<&RunState, _>| {
        // Of a run that waits to begin, gates are probed that no state lists.
        let state = state.ok().filter(|state| !state.is_queued());
        let _gone = sender.send(state.map(|state| folders_of(&layout, run, state)));
    });
    let shard = shards[shard_of(run, shards.len())].upgrade()?;
    shard.send(Message::Look { run, look }).await.ok()?;
    drop(shard);
    seen.await.ok().flatten()
}

fn folders_of(layout: &Layout, run: RunId, state: &RunState) -> Vec<PathBuf> {
    let folder = |effect| match effect {
        Effect::Attempt { id, .. } | Effect::Stop { id } => {
            Some(layout.attempt(&EffectId { run, attempt: id }))
        }
        Effect::Probe { id, gate, probe_no } => {
            Some(layout.probe(&EffectId { run, attempt: id }, &gate, probe_no))
        }
        Effect::Timer { .. }
        | Effect::Workspace
        | Effect::Slots
        | Effect::Funds { .. }
        | Effect::SpendReport { .. }
        | Effect::Notice { .. }
        | Effect::Advance => None,
    };
    effects(state).into_iter().filter_map(folder).collect()
}

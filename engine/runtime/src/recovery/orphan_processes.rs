//! Ends processes that a former engine left and that no run needs any more.
//!
//! A state lists what is to be stopped only for attempts. A probe that a cancel or a rework made
//! pointless is stopped when that is durable, and an engine that ends between the two leaves it.
//!
//! Law: a process that the durable state of its run names is not ended, nor one that it would name if the run were not
//! paused: it began before the pause, and what it did counts when the run goes on. The states are read after the living
//! processes were listed, and a folder is never used twice: what no state names then none will name later. Processes
//! of unknown runs, and of runs that cannot be folded, are left alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::engine_parts::EngineParts;
use crate::messages::{ShardMessage, shard_of};
use crate::runtime::Runtime;
use crate::work::multi_probe::is_member_of;
use everfold_base::data_folder::Layout;
use everfold_base::id::{EffectId, RunId};
use everfold_core::effect::Effect;
use everfold_core::state::{RunState, living_effects};
use everfold_ports::Survivors;

/// Ends, once in the engine's life and in the background, the processes that no run needs any more.
pub(crate) fn end_unwanted_once(parts: &EngineParts) {
    let shared = &parts.shared;
    let Some(survivors) = shared.edge.survivors.clone() else { return };
    if shared.looked_for_survivors.swap(true, Ordering::AcqRel) {
        return;
    }
    let search = tokio::spawn(end_unwanted(Arc::clone(shared), parts.weak_shards(), survivors));
    *parts.orphan_search() = Some(search);
}

/// Waits for a search that is under way, for so long at most: an engine may live for one command alone, and the next
/// one looks only when it acts.
pub(crate) async fn until_searched(parts: &EngineParts, at_most: Duration) {
    let Some(mut search) = parts.orphan_search().take() else { return };
    if tokio::time::timeout(at_most, &mut search).await.is_err() {
        search.abort();
    }
}

async fn end_unwanted(
    shared: Arc<Runtime>,
    shards: Vec<mpsc::WeakSender<ShardMessage>>,
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

/// The run whose attempts lie beside this one.
fn run_of(folder: &Path) -> Option<RunId> {
    folder.parent()?.file_name()?.to_str()?.parse().ok()
}

fn names(wanted: &[PathBuf], folder: &Path) -> bool {
    wanted.iter().any(|wanted| wanted.file_name() == folder.file_name() || is_member_of(wanted, folder))
}

/// The folders of all that may live by the run's durable state, or is to be stopped.
async fn wanted(
    layout: &Layout,
    shards: &[mpsc::WeakSender<ShardMessage>],
    run: RunId,
) -> Option<Vec<PathBuf>> {
    let (sender, seen) = oneshot::channel();
    let layout = layout.clone();
    let look = Box::new(move |state: Result<&RunState, _>| {
        // The gates of a run that waits to begin are probed without being listed by its state.
        let state = state.ok().filter(|state| !state.is_queued());
        let _gone = sender.send(state.map(|state| folders_of(&layout, run, state)));
    });
    let shard = shards[shard_of(run, shards.len())].upgrade()?;
    shard.send(ShardMessage::Query { run, query: look }).await.ok()?;
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
    living_effects(state).into_iter().filter_map(folder).collect()
}

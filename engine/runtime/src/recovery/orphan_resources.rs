//! Resources that are held by work whose run this engine does not drive.
//!
//! An engine may drive one run alone. Processes that a former engine started for other runs live all the same, and
//! use the resources that they were granted.
//!
//! Law: before a resource is granted, the living work of all runs is counted, and it counts until it ends or is
//! re-attached. What the living work of an unreadable run holds is unknown: until the run can be read, or that work
//! has ended, no resource is granted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::error::QueryError;
use crate::messages::{ShardMessage, shard_of};
use crate::runtime::Runtime;
use everfold_base::data_folder::Layout;
use everfold_base::id::{EffectId, RunId};
use everfold_core::effect::Effect;
use everfold_core::state::{RunState, effects};
use everfold_ports::Survivors;

/// How often such work is checked for its end.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Living work that holds resources.
struct LivingWork {
    id: EffectId,
    folder: PathBuf,
    resources: Vec<String>,
    group: Arc<str>,
}

/// Counts living work, lets resources be granted from then on, and stops counting work that has ended.
pub(crate) async fn count(
    shared: Arc<Runtime>,
    shards: Vec<mpsc::WeakSender<ShardMessage>>,
    survivors: Arc<dyn Survivors>,
) {
    let mut counted: BTreeMap<EffectId, PathBuf> = BTreeMap::new();
    let mut looked_at: BTreeSet<RunId> = BTreeSet::new();
    let mut is_logged = false;
    loop {
        let living = living(&shared, &*survivors).await;
        let runs: BTreeSet<RunId> = living.iter().filter_map(|folder| run_of(folder)).collect();
        for run in &runs {
            if looked_at.contains(run) {
                continue;
            }
            let Some(work) = work_of(&shared, &shards, *run).await else { continue };
            looked_at.insert(*run);
            for LivingWork { id, folder, resources, group } in work {
                if is_in(&living, &folder) && shared.scheduler.count(&id, &resources, group) {
                    counted.insert(id, folder);
                }
            }
        }
        let Some(unknown) = runs.difference(&looked_at).next() else { break };
        shared.scheduler.cannot_count(*unknown);
        if !std::mem::replace(&mut is_logged, true) {
            tracing::warn!(run = %unknown, "no resource is given: what the run's living work holds cannot be read");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    shared.scheduler.keep_resources(false);
    while !counted.is_empty() {
        tokio::time::sleep(LOOK_EVERY).await;
        counted.retain(|id, _| shared.scheduler.is_counted(id));
        if counted.is_empty() {
            return;
        }
        let living = living(&shared, &*survivors).await;
        counted.retain(|id, folder| {
            let lives = is_in(&living, folder);
            if !lives {
                shared.scheduler.count_no_more(id);
            }
            lives
        });
    }
}

/// The folders of all work that lives.
async fn living(shared: &Runtime, survivors: &dyn Survivors) -> HashSet<PathBuf> {
    survivors.living(shared.layout.all_attempts()).await.into_iter().collect()
}

/// Folders are compared by run and name: one may be written through a link.
fn is_in(living: &HashSet<PathBuf>, folder: &Path) -> bool {
    let same = |other: &Path| other.file_name() == folder.file_name() && run_of(other) == run_of(folder);
    living.contains(folder) || living.iter().any(|other| same(other))
}

fn run_of(folder: &Path) -> Option<RunId> {
    folder.parent()?.file_name()?.to_str()?.parse().ok()
}

/// The attempts of a run that need resources; that one began may not be recorded yet. `None` where the run
/// cannot be read now.
async fn work_of(
    shared: &Arc<Runtime>,
    shards: &[mpsc::WeakSender<ShardMessage>],
    run: RunId,
) -> Option<Vec<LivingWork>> {
    let (sender, seen) = oneshot::channel();
    let (layout, fair_by) = (shared.layout.clone(), shared.scheduler.config().fair_by.clone());
    let look = Box::new(move |state: Result<&RunState, QueryError>| {
        let work = match state {
            Ok(state) => Some(work_in(&layout, run, state, &fair_by.group(run, state))),
            // A process without a run holds nothing.
            Err(QueryError::NotFound(_)) => Some(Vec::new()),
            Err(_not_now) => None,
        };
        let _gone = sender.send(work);
    });
    let shard = shards[shard_of(run, shards.len())].upgrade()?;
    shard.send(ShardMessage::Query { run, query: look }).await.ok()?;
    drop(shard);
    seen.await.ok().flatten()
}

fn work_in(layout: &Layout, run: RunId, state: &RunState, group: &Arc<str>) -> Vec<LivingWork> {
    let work = |effect| {
        let (Effect::Attempt { id, .. } | Effect::Stop { id }) = effect else { return None };
        let (step, _) = state.step(&id.path.step)?;
        let (resources, id) = (step.resources.clone(), EffectId { run, attempt: id });
        let folder = layout.attempt(&id);
        (!resources.is_empty()).then(|| LivingWork { id, folder, resources, group: Arc::clone(group) })
    };
    effects(state).into_iter().filter_map(work).collect()
}

//! Slots of `concurrency`: how many of each are held, and how many runs wait for one.
//!
//! Law: of the runs that go on the newest are looked at, a bounded number. A run that shares a slot of a run above it holds
//! none of its own.

use std::collections::{BTreeMap, HashMap};

use everfold_engine::event::SlotKind;
use everfold_engine::id::RunId;
use everfold_engine::state::RunState;
use futures::{StreamExt as _, stream};

use crate::body::limits::SlotsView;
use crate::fault::Fault;
use crate::node::handle::Node;

/// Runs that one answer looks at.
const RUNS_MAX: usize = 500;
/// Runs that are looked at side by side: each may have to be loaded.
const SIDE_BY_SIDE: usize = 16;

/// What a run has to do with slots.
struct SlotsOfRun {
    run: RunId,
    parent: Option<RunId>,
    /// It does not have all of its slots yet.
    waits: bool,
    /// Of each key so many slots.
    keys: BTreeMap<String, u32>,
}

impl Node {
    /// The slots of `concurrency` that runs hold or wait for.
    ///
    /// # Errors
    /// The read model of runs cannot be read.
    pub(crate) async fn concurrency_slots(&self) -> Result<Vec<SlotsView>, Fault> {
        let open = self.runs(None, |runs| runs.open(None)).await?;
        let engine = self.engine();
        // One that cannot be read, or has gone meanwhile, is no reason to say nothing of the others.
        let read_runs = stream::iter(open.into_iter().rev().take(RUNS_MAX))
            .map(|run| async move { engine.with_state(run, slots_of).await.ok().flatten() })
            .buffered(SIDE_BY_SIDE);
        let runs: Vec<SlotsOfRun> = read_runs.filter_map(std::future::ready).collect().await;
        Ok(in_all(&runs))
    }
}

fn slots_of(state: &RunState) -> Option<SlotsOfRun> {
    let run = state.run().filter(|_| !state.is_ended())?;
    let keys = state.slots().iter().filter_map(|slot| match slot.kind {
        SlotKind::Concurrency { limit, .. } => Some((slot.key.clone(), limit)),
        SlotKind::Identity { .. } => None,
    });
    let parent = state.parent().map(|parent| parent.run);
    Some(SlotsOfRun { run, parent, waits: state.is_queued(), keys: keys.collect() })
}

fn in_all(runs: &[SlotsOfRun]) -> Vec<SlotsView> {
    let known: HashMap<RunId, &SlotsOfRun> = runs.iter().map(|run| (run.run, run)).collect();
    let shares = |of: &SlotsOfRun, key: &str| {
        let mut above = of.parent.and_then(|parent| known.get(&parent));
        while let Some(run) = above {
            if !run.waits && run.keys.contains_key(key) {
                return true;
            }
            above = run.parent.and_then(|parent| known.get(&parent));
        }
        false
    };
    let mut all: BTreeMap<&str, SlotsView> = BTreeMap::new();
    for of in runs {
        for (key, limit) in &of.keys {
            let none = || SlotsView { key: key.clone(), limit: *limit, in_use: 0, waiting: 0 };
            let view = all.entry(key).or_insert_with(none);
            // The newest run says how many there are: it is looked at first.
            match of.waits {
                true => view.waiting += 1,
                false if shares(of, key) => {}
                false => view.in_use += 1,
            }
        }
    }
    all.into_values().collect()
}

//! Workers and their functions as routes show them.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use everfold_system::clock;
use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, OfferStage};
use super::known_worker::KnownWorker;
use super::lease_table::LeaseTable;
use super::name::{Instance, WorkerName};
use super::protocol::AttemptName;

/// A worker: a process, or all that poll with one token and do not say which process they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerView {
    /// The actor.
    pub name: String,
    /// The process, as it calls itself; null: it does not say.
    pub instance: Option<Instance>,
    /// What it does, by its newest poll.
    pub functions: Vec<String>,
    /// Its polls that wait at this moment.
    pub polls: usize,
    /// Since when it is known to this engine.
    pub since: Timestamp,
    /// Its last poll or report.
    pub seen_at: Timestamp,
    /// The attempts that it holds, the oldest first.
    pub holds: Vec<HeldView>,
}

impl WorkerView {
    /// The worker in one text.
    #[must_use]
    pub fn worker(&self) -> WorkerName {
        WorkerName::new(self.name.clone(), self.instance.clone())
    }

    pub(super) fn new(
        worker: &WorkerName,
        functions: Vec<String>,
        polls: usize,
        since: Timestamp,
        seen_at: Timestamp,
    ) -> Self {
        let WorkerName { actor: name, instance } = worker.clone();
        Self { name, instance, functions, polls, since, seen_at, holds: Vec::new() }
    }
}

/// An attempt that a worker holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldView {
    /// The attempt.
    pub id: AttemptName,
    /// The run.
    pub run: RunId,
    /// The step, with the item of a `foreach`.
    pub step: String,
    /// What it does.
    pub function: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when, unless a heartbeat comes.
    pub lease_until: Timestamp,
    /// Why it is to end.
    pub stopping: Option<String>,
}

/// A function that workers do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemoteView {
    /// Its name.
    pub name: String,
    /// What it does.
    pub summary: String,
    /// Attempts that no worker has fetched.
    pub waiting: usize,
    /// Polls that wait for it.
    pub polls: usize,
}

impl LeaseTable {
    /// The workers that poll, and what each of them holds.
    pub async fn workers(&self) -> Vec<WorkerView> {
        let now = clock::now();
        let mut views: BTreeMap<WorkerName, WorkerView> = self
            .seen()
            .iter()
            .filter(|(name, seen)| seen.is_there(name, now))
            .map(|(name, seen)| {
                let functions = seen.functions.iter().cloned().collect();
                (name.clone(), WorkerView::new(name, functions, seen.polls, seen.since, seen.at))
            })
            .collect();
        let open: Vec<Arc<Attempt>> = self.open().entered.values().cloned().collect();
        for attempt in open {
            let stage = attempt.stage.lock().await;
            let OfferStage::Held(held) = &*stage else { continue };
            let name = &held.lease.worker;
            let view = views.entry(name.clone()).or_insert_with(|| {
                WorkerView::new(name, Vec::new(), 0, held.lease.taken_at, held.lease.taken_at)
            });
            view.holds.push(HeldView {
                id: AttemptName(attempt.offer.id.clone()),
                run: attempt.offer.id.run,
                step: attempt.offer.id.attempt.path.to_string(),
                function: attempt.offer.function.clone(),
                since: held.lease.taken_at,
                lease_until: held.until_at,
                stopping: held.stopping.as_ref().map(|stopping| stopping.reason().to_owned()),
            });
        }
        let mut views: Vec<WorkerView> = views.into_values().collect();
        views.iter_mut().for_each(|view| view.holds.sort_by_key(|held| held.since));
        views
    }

    /// How much of a function waits, and how many polls wait for it.
    #[must_use]
    pub fn function(&self, name: &str, summary: &str) -> RemoteView {
        let waiting = self.queues().offers(name);
        let polling = |seen: &KnownWorker| if seen.functions.contains(name) { seen.polls } else { 0 };
        let polls = self.seen().values().map(polling).sum();
        RemoteView { name: name.to_owned(), summary: summary.to_owned(), waiting, polls }
    }
}

//! What people see of workers.

use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// When it was last heard of.
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
    /// Until when, unless the worker is heard of.
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

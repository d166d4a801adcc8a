//! The parts of an engine that runs: the shared state, the shards and the tasks.
//!
//! Law: dropping it ends every task as a crash would; the operations of [`crate::recovery`] work on it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::messages::ShardMessage;
use crate::runtime::Runtime;

/// What an engine is made of while it runs.
pub(crate) struct EngineParts {
    pub(crate) shared: Arc<Runtime>,
    pub(crate) shards: Vec<mpsc::Sender<ShardMessage>>,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for EngineParts {
    fn drop(&mut self) {
        self.tasks().iter().for_each(JoinHandle::abort);
        self.shared.notifications.abort();
    }
}

impl EngineParts {
    pub(crate) fn tasks(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Senders to the shards that do not keep them: the shards end when the engine is dropped.
    pub(crate) fn weak_shards(&self) -> Vec<mpsc::WeakSender<ShardMessage>> {
        self.shards.iter().map(mpsc::Sender::downgrade).collect()
    }

    /// Keeps a task that ends with the engine.
    pub(crate) fn keep(&self, task: JoinHandle<()>) {
        self.tasks().push(task);
    }
}

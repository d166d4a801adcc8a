//! The parts of an engine that runs: the shared state, the shards and the tasks.
//!
//! Law: dropping it ends every task as a crash would; the operations of [`crate::recovery`] work on it.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::messages::ShardMessage;
use crate::runtime::Runtime;

/// What an engine is made of while it runs.
pub(crate) struct EngineParts {
    pub(crate) shared: Arc<Runtime>,
    pub(crate) shards: Vec<mpsc::Sender<ShardMessage>>,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Looks once for processes that a former engine left and that no run needs.
    pub(crate) orphan_search: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for EngineParts {
    fn drop(&mut self) {
        self.tasks().iter().for_each(JoinHandle::abort);
        self.orphan_search().iter().for_each(JoinHandle::abort);
        self.shared.notifications.abort();
    }
}

impl EngineParts {
    pub(crate) fn tasks(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn orphan_search(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.orphan_search.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Senders to the shards that do not keep them: the shards end when the engine is dropped.
    pub(crate) fn weak_shards(&self) -> Vec<mpsc::WeakSender<ShardMessage>> {
        self.shards.iter().map(mpsc::Sender::downgrade).collect()
    }

    /// Completes a request, also where its caller goes away; `None`: the engine ended first.
    pub(crate) async fn complete<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let request = AssertUnwindSafe(request).catch_unwind();
        let task = async move {
            let _gone = answer.send(request.await);
        };
        self.keep(tokio::spawn(task.in_current_span()));
        match answered.await.ok()? {
            Ok(done) => Some(done),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Keeps a task that ends with the engine, and forgets those that are over.
    pub(crate) fn keep(&self, task: JoinHandle<()>) {
        let mut tasks = self.tasks();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

//! Read models over a store, brought up to its end whenever they are looked at.
//!
//! Law: an answer holds everything that was durable when it was asked for; there is no lag to wait out.
//!
//! The owner of a data folder keeps one and answers lists from it; the engine asks it as its
//! [`Directory`].

use std::sync::Arc;

use everfold_engine::execution::{Directory, DirectoryError, FoundRun, FoundRuns, RunQuery};
use everfold_engine::store::{EventStore, ReadError};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{RwLock, RwLockReadGuard};

use crate::Models;

/// Events folded at once.
const CHUNK: usize = 4_096;

/// All read models of a store.
pub struct CurrentModels {
    store: Arc<dyn EventStore>,
    models: RwLock<Models>,
}

impl CurrentModels {
    /// Read models that are folded when they are first asked for.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store, models: RwLock::default() }
    }

    /// The read models, folded up to the end of the log as it was at the call.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn read(&self) -> Result<RwLockReadGuard<'_, Models>, ReadError> {
        let last = self.store.last_position();
        if self.models.read().await.position() < last {
            let mut models = self.models.write().await;
            while models.position() < last {
                let events = self.store.read_all(models.position().next(), CHUNK).await?;
                if events.is_empty() {
                    break;
                }
                events.iter().for_each(|event| models.apply(event));
            }
        }
        Ok(self.models.read().await)
    }
}

/// The handle that the engine's edge holds: it finds runs by what the read models know.
#[derive(Clone)]
pub struct RunDirectory(pub Arc<CurrentModels>);

impl Directory for RunDirectory {
    fn runs(&self, query: RunQuery) -> BoxFuture<'static, Result<FoundRuns, DirectoryError>> {
        let current = Arc::clone(&self.0);
        async move {
            let models = current.read().await.map_err(|error| DirectoryError(error.to_string()))?;
            let (total, rows) = models.runs.find(&query);
            let runs = rows.into_iter().map(|row| FoundRun {
                run: row.id,
                pipeline: row.pipeline,
                title: row.title,
                labels: row.labels,
                status: row.status,
            });
            Ok(FoundRuns { total, runs: runs.collect(), position: models.position() })
        }
        .boxed()
    }
}

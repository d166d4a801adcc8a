//! The handle of the read side: queries, waiting, status, rebuild, close.
//!
//! Law: a query waits until what was durable at the call is folded, but not for ever; where the log cannot be read, the
//! answer is why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use everfold_base::id::Position;
use everfold_store::ReadError;
use tokio::sync::{oneshot, watch};

use super::error::{AsOf, ReadSideError};
use super::state::{ModelProgress, ReadSideState};
use super::threads::{rebuild, spawn};
use crate::audit::AuditView;
use crate::failed_notices::FailedNoticesView;
use crate::inbox::InboxView;
use crate::log_reader::Unreadable;
use crate::model::{AnyModel as _, Model, ModelStatus};
use crate::projection::{FoldError, Projection};
use crate::runs::RunsView;
use crate::snapshot::ReadSnapshot;
use crate::spend::SpendView;
use crate::stages::StagesView;

/// How long a query without a position waits for what was durable when it came; then it gets what there is.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a query waits for a position that it names.
const PATIENCE_NAMED: Duration = Duration::from_secs(5);

/// The read models of a store.
pub struct ReadSide {
    pub(super) shared: Arc<ReadSideState>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ReadSide {
    /// Asks the model `runs`.
    ///
    /// # Errors
    /// [`ReadSideError`].
    pub async fn runs<T: Send + 'static>(
        &self,
        min: Option<Position>,
        query: impl FnOnce(&RunsView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<AsOf<T>, ReadSideError> {
        let model = Arc::clone(&self.shared.models.runs);
        self.query(model, min, move |snapshot| query(&RunsView::new(snapshot)?)).await
    }

    /// Asks the model `inbox`.
    ///
    /// # Errors
    /// [`ReadSideError`].
    pub async fn inbox<T: Send + 'static>(
        &self,
        min: Option<Position>,
        query: impl FnOnce(&InboxView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<AsOf<T>, ReadSideError> {
        let model = Arc::clone(&self.shared.models.inbox);
        self.query(model, min, move |snapshot| query(&InboxView::new(snapshot)?)).await
    }

    /// Asks the model `audit`.
    ///
    /// # Errors
    /// [`ReadSideError`].
    pub async fn audit<T: Send + 'static>(
        &self,
        min: Option<Position>,
        query: impl FnOnce(&AuditView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<AsOf<T>, ReadSideError> {
        let model = Arc::clone(&self.shared.models.audit);
        self.query(model, min, move |snapshot| query(&AuditView::new(snapshot)?)).await
    }

    /// Asks the model `spend`.
    ///
    /// # Errors
    /// [`ReadSideError`].
    pub async fn spend<T: Send + 'static>(
        &self,
        min: Option<Position>,
        query: impl FnOnce(&SpendView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<AsOf<T>, ReadSideError> {
        let model = Arc::clone(&self.shared.models.spend);
        self.query(model, min, move |snapshot| query(&SpendView::new(snapshot))).await
    }

    /// Asks the model `notices`.
    ///
    /// # Errors
    /// [`ReadSideError`].
    pub async fn failed_notices<T: Send + 'static>(
        &self,
        min: Option<Position>,
        query: impl FnOnce(&FailedNoticesView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<AsOf<T>, ReadSideError> {
        let model = Arc::clone(&self.shared.models.notices);
        self.query(model, min, move |snapshot| query(&FailedNoticesView::new(snapshot))).await
    }

    /// Asks the model `stages`.
    ///
    /// # Errors
    /// [`ReadSideError`].
    pub async fn stages<T: Send + 'static>(
        &self,
        min: Option<Position>,
        query: impl FnOnce(&StagesView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<AsOf<T>, ReadSideError> {
        let model = Arc::clone(&self.shared.models.stages);
        self.query(model, min, move |snapshot| query(&StagesView::new(snapshot)?)).await
    }

    async fn query<P: Projection, T: Send + 'static>(
        &self,
        model: Arc<Model<P>>,
        min: Option<Position>,
        query: impl FnOnce(ReadSnapshot<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<AsOf<T>, ReadSideError> {
        let name = P::NAME;
        if let Some(stopped) = model.stopped() {
            return Err(ReadSideError::Stopped { name, stopped });
        }
        self.wait(min).await?;
        let asked = tokio::task::spawn_blocking(move || {
            let published = model.published();
            let snapshot = published.snapshot();
            let position = snapshot.position();
            match model.stopped() {
                Some(stopped) => Err(ReadSideError::Stopped { name, stopped }),
                None => query(snapshot)
                    .map(|value| AsOf { value, position })
                    .map_err(|source| ReadSideError::Fold { name, source }),
            }
        });
        asked.await.map_err(|_| ReadSideError::Closed)?
    }

    /// Waits until what was durable at the call is folded; with `min` until that is, or says so.
    async fn wait(&self, min: Option<Position>) -> Result<(), ReadSideError> {
        let mut progress = self.shared.progress.subscribe();
        let wanted = min.unwrap_or_else(|| self.shared.store.last_position());
        let there = |progress: &ModelProgress| progress.position >= wanted || progress.closed;
        if there(&progress.borrow()) {
            return Ok(());
        }
        let in_time = |progress: &ModelProgress| there(progress) || progress.is_damaged();
        let patience = if min.is_some() { PATIENCE_NAMED } else { PATIENCE };
        let waited = tokio::time::timeout(patience, progress.wait_for(in_time)).await;
        let waited = waited.map(|reached| reached.map(drop));
        if let Ok(Err(_)) = waited {
            return Err(ReadSideError::Closed);
        }
        let now = progress.borrow().clone();
        if there(&now) {
            return Ok(());
        }
        if let Some(source) = now.unread {
            return Err(ReadSideError::Log { position: now.position, source });
        }
        if min.is_none() && !now.ready {
            // The first fold of the log is still running: an answer without most of the log would be wrong.
            let is_over =
                |progress: &ModelProgress| there(progress) || progress.ready || progress.unread.is_some();
            let now = progress.wait_for(is_over).await.map_err(|_| ReadSideError::Closed)?;
            return match &now.unread {
                Some(source) if !there(&now) => {
                    Err(ReadSideError::Log { position: now.position, source: Arc::clone(source) })
                }
                _ => Ok(()),
            };
        }
        let position = now.position;
        match min {
            None => Ok(()),
            Some(_) => {
                Err(ReadSideError::Behind { position, wanted, lag: wanted.0.saturating_sub(position.0) })
            }
        }
    }

    /// Resolves when the models have folded a position, however long that takes.
    ///
    /// # Errors
    /// The read side ends before, or the log is damaged before it.
    pub async fn reach(&self, position: Position) -> Result<(), ReadSideError> {
        let mut progress = self.shared.progress.subscribe();
        let is_over = |progress: &ModelProgress| {
            progress.position >= position || progress.closed || progress.is_damaged()
        };
        let reached = progress.wait_for(is_over).await;
        match reached {
            Ok(progress) if progress.position >= position => Ok(()),
            Ok(progress) if !progress.closed => match &progress.unread {
                Some(source) => {
                    Err(ReadSideError::Log { position: progress.position, source: Arc::clone(source) })
                }
                None => Err(ReadSideError::Closed),
            },
            _closed => Err(ReadSideError::Closed),
        }
    }

    /// Whether the models have folded what was there when they were opened.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.progress.borrow().ready
    }

    /// Why the log cannot be read where the models go on, if that is so.
    #[must_use]
    pub fn unread(&self) -> Option<Arc<ReadError>> {
        self.shared.progress.borrow().unread.clone()
    }

    /// The status of each model.
    #[must_use]
    pub fn status(&self) -> Vec<ModelStatus> {
        let head = self.shared.store.last_position();
        self.shared.models.all().iter().map(|model| model.status(head)).collect()
    }

    /// Bytes on disk.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        self.shared.storage.size_bytes()
    }

    /// Events that could not be read.
    #[must_use]
    pub fn unreadable(&self) -> Vec<Unreadable> {
        self.shared.unreadable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rebuilds a model beside the one that answers, and replaces that when it has come as far. Returns
    /// at once; [`ReadSide::status`] shows how far it is.
    ///
    /// # Errors
    /// There is no such model, it is being built already, or its files cannot be read.
    pub async fn rebuild(&self, name: &str) -> Result<(), ReadSideError> {
        let shared = Arc::clone(&self.shared);
        let Some(model) = shared.models.all().iter().position(|model| model.name() == name) else {
            return Err(ReadSideError::Unknown(name.to_owned()));
        };
        let runtime = tokio::runtime::Handle::current();
        let stopping = self.stop.subscribe();
        let (begun, has_begun) = oneshot::channel();
        let thread = spawn("read-side-rebuild", move || rebuild(&shared, &runtime, model, &stopping, begun));
        let thread = thread.map_err(|_| ReadSideError::Closed)?;
        {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            threads.retain(|thread| !thread.is_finished());
            threads.push(thread);
        }
        has_begun.await.map_err(|_| ReadSideError::Closed)?
    }

    /// Closes in order: writes the last checkpoints. Repeating it does nothing.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let closed = tokio::task::spawn_blocking(move || {
            let ended = threads.into_iter().all(|thread| thread.join().is_ok());
            if !ended {
                return tracing::warn!("the read models ended by a panic; the next start looks again");
            }
            let mut positions = BTreeMap::new();
            for model in shared.models.all() {
                if let Err(error) = model.checkpoint() {
                    return tracing::warn!(model = model.name(), %error, "a read model could not be put away");
                }
                positions.insert(model.name().to_owned(), model.status(Position::ZERO).checkpoint.0);
            }
            if let Err(error) = shared.storage.close(&shared.location.epoch, &shared.location.boot, positions)
            {
                tracing::warn!(%error, "the read models did not close in order");
            }
        });
        if closed.await.is_err() {
            tracing::warn!("the read models did not close in order");
        }
    }
}

impl Drop for ReadSide {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

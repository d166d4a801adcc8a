//! Read models that are folded by hand: for tests of their laws and for measurements.
//!
//! Law: the models of the read side, folded by the same code, without its threads.

use std::sync::Arc;

use everfold_base::envelope::Envelope;
use everfold_base::id::Position;
use everfold_store::{EventStore, ReadError};

use crate::audit::{AuditModel, AuditView};
use crate::failed_notices::{FailedNoticesModel, FailedNoticesView};
use crate::inbox::{InboxModel, InboxView};
use crate::log_reader::FactBatch;
use crate::model::ModelFold;
use crate::projection::FoldError;
use crate::runs::{RunsModel, RunsView};
use crate::spend::{SpendModel, SpendView};
use crate::stages::{StagesModel, StagesView};
use crate::storage::Storage;

/// All read models.
pub struct Models {
    storage: Arc<Storage>,
    runs: ModelFold<RunsModel>,
    inbox: ModelFold<InboxModel>,
    audit: ModelFold<AuditModel>,
    spend: ModelFold<SpendModel>,
    notices: ModelFold<FailedNoticesModel>,
    stages: ModelFold<StagesModel>,
}

impl Models {
    /// Empty ones in memory.
    ///
    /// # Errors
    /// None in practice.
    pub fn in_memory() -> Result<Self, FoldError> {
        Self::on(Arc::new(Storage::memory()))
    }

    fn on(storage: Arc<Storage>) -> Result<Self, FoldError> {
        let (runs, inbox) =
            (ModelFold::open(Arc::clone(&storage), 1)?, ModelFold::open(Arc::clone(&storage), 2)?);
        let (audit, spend) =
            (ModelFold::open(Arc::clone(&storage), 3)?, ModelFold::open(Arc::clone(&storage), 4)?);
        let (notices, stages) =
            (ModelFold::open(Arc::clone(&storage), 5)?, ModelFold::open(Arc::clone(&storage), 6)?);
        Ok(Self { storage, runs, inbox, audit, spend, notices, stages })
    }

    /// Folds events of the log; those at or before the position are passed over.
    ///
    /// # Errors
    /// The copied history of a fork cannot be read.
    pub async fn apply(
        &mut self,
        events: Vec<Arc<Envelope>>,
        store: &dyn EventStore,
    ) -> Result<(), ReadError> {
        let facts = FactBatch::of(events, store).await?;
        self.runs.fold(&facts);
        self.inbox.fold(&facts);
        self.audit.fold(&facts);
        self.spend.fold(&facts);
        self.notices.fold(&facts);
        self.stages.fold(&facts);
        Ok(())
    }

    /// Writes a checkpoint of each model.
    ///
    /// # Errors
    /// A row cannot be written.
    pub fn checkpoint(&mut self) -> Result<(), FoldError> {
        self.runs.write_checkpoint(&self.storage)?;
        self.inbox.write_checkpoint(&self.storage)?;
        self.audit.write_checkpoint(&self.storage)?;
        self.spend.write_checkpoint(&self.storage)?;
        self.notices.write_checkpoint(&self.storage)?;
        self.stages.write_checkpoint(&self.storage)
    }

    /// What a kill in the middle of a checkpoint leaves: what is written ahead of its batch, and no batch. The models
    /// can only be [reopened](Self::reopened) then.
    ///
    /// # Errors
    /// A row cannot be written.
    pub fn torn_checkpoint(&mut self) -> Result<(), FoldError> {
        let parts = [self.runs.settle()?, self.inbox.settle()?, self.audit.settle()?, self.spend.settle()?];
        for (checkpoint, _) in parts.iter().chain([&self.notices.settle()?, &self.stages.settle()?]).flatten()
        {
            self.storage.write_ahead(checkpoint)?;
        }
        Ok(())
    }

    /// What a new process finds: the state of the last checkpoint.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn reopened(self) -> Result<Self, FoldError> {
        Self::on(self.storage)
    }

    /// The last event that was folded.
    #[must_use]
    pub fn position(&self) -> Position {
        let runs = self.runs.position.min(self.inbox.position);
        let others = self.audit.position.min(self.spend.position);
        runs.min(others).min(self.notices.position).min(self.stages.position)
    }

    /// Whether a model stopped, and why.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        let mut all = vec![&self.runs.stopped, &self.inbox.stopped, &self.audit.stopped];
        all.extend([&self.spend.stopped, &self.notices.stopped, &self.stages.stopped]);
        let stopped = all.into_iter().find_map(Option::as_ref);
        stopped.map(|stopped| stopped.what.clone())
    }

    /// The model `runs`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn runs(&self) -> Result<RunsView<'_>, FoldError> {
        RunsView::new(self.runs.batch.published().snapshot())
    }

    /// The model `audit`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn audit(&self) -> Result<AuditView<'_>, FoldError> {
        AuditView::new(self.audit.batch.published().snapshot())
    }

    /// The model `spend`.
    #[must_use]
    pub fn spend(&self) -> SpendView<'_> {
        SpendView::new(self.spend.batch.published().snapshot())
    }

    /// The model `notices`.
    #[must_use]
    pub fn failed_notices(&self) -> FailedNoticesView<'_> {
        FailedNoticesView::new(self.notices.batch.published().snapshot())
    }

    /// The model `stages`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn stages(&self) -> Result<StagesView<'_>, FoldError> {
        StagesView::new(self.stages.batch.published().snapshot())
    }

    /// The model `inbox`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn inbox(&self) -> Result<InboxView<'_>, FoldError> {
        InboxView::new(self.inbox.batch.published().snapshot())
    }
}

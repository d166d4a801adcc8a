//! Read models that are folded by hand: for tests of their laws and for measurements.
//!
//! Law: they are the models of the read side, folded by the same code, without its threads.

use std::sync::Arc;

use everfold_engine::envelope::Envelope;
use everfold_engine::id::Position;
use everfold_engine::store::{EventStore, ReadError};

use crate::audit::{Audit, AuditView};
use crate::inbox::{Inbox, InboxView};
use crate::lost::{Lost, LostView};
use crate::model::Inner;
use crate::projection::FoldError;
use crate::runs::{Runs, RunsView};
use crate::shelf::Shelf;
use crate::source::Facts;
use crate::spend::{Spend, SpendView};

/// All read models.
pub struct Models {
    shelf: Arc<Shelf>,
    runs: Inner<Runs>,
    inbox: Inner<Inbox>,
    audit: Inner<Audit>,
    spend: Inner<Spend>,
    lost: Inner<Lost>,
}

impl Models {
    /// Empty ones in memory.
    ///
    /// # Errors
    /// None in practice.
    pub fn in_memory() -> Result<Self, FoldError> {
        Self::on(Arc::new(Shelf::memory()))
    }

    fn on(shelf: Arc<Shelf>) -> Result<Self, FoldError> {
        let (runs, inbox) = (Inner::open(Arc::clone(&shelf), 1)?, Inner::open(Arc::clone(&shelf), 2)?);
        let (audit, spend) = (Inner::open(Arc::clone(&shelf), 3)?, Inner::open(Arc::clone(&shelf), 4)?);
        let lost = Inner::open(Arc::clone(&shelf), 5)?;
        Ok(Self { shelf, runs, inbox, audit, spend, lost })
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
        let facts = Facts::of(events, store).await?;
        self.runs.fold(&facts);
        self.inbox.fold(&facts);
        self.audit.fold(&facts);
        self.spend.fold(&facts);
        self.lost.fold(&facts);
        Ok(())
    }

    /// Puts everything into the shelf, as a checkpoint does.
    ///
    /// # Errors
    /// A row cannot be written.
    pub fn checkpoint(&mut self) -> Result<(), FoldError> {
        self.runs.put_away(&self.shelf)?;
        self.inbox.put_away(&self.shelf)?;
        self.audit.put_away(&self.shelf)?;
        self.spend.put_away(&self.shelf)?;
        self.lost.put_away(&self.shelf)
    }

    /// What a kill in the middle of a checkpoint leaves: what goes ahead of its batch, and no batch. They can
    /// only be [reopened](Self::reopened) then.
    ///
    /// # Errors
    /// A row cannot be written.
    pub fn torn_checkpoint(&mut self) -> Result<(), FoldError> {
        let parts = [self.runs.settle()?, self.inbox.settle()?, self.audit.settle()?, self.spend.settle()?];
        for (checkpoint, _) in parts.iter().chain([&self.lost.settle()?]).flatten() {
            self.shelf.put_ahead(checkpoint)?;
        }
        Ok(())
    }

    /// What a new process finds: the state of the last checkpoint.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn reopened(self) -> Result<Self, FoldError> {
        Self::on(self.shelf)
    }

    /// The last event that was folded.
    #[must_use]
    pub fn position(&self) -> Position {
        let runs = self.runs.position.min(self.inbox.position);
        runs.min(self.audit.position).min(self.spend.position).min(self.lost.position)
    }

    /// Whether a model went no further, and why.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        let mut all = vec![&self.runs.stopped, &self.inbox.stopped, &self.audit.stopped];
        all.extend([&self.spend.stopped, &self.lost.stopped]);
        let stopped = all.into_iter().find_map(Option::as_ref);
        stopped.map(|stopped| stopped.what.clone())
    }

    /// The model `runs`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn runs(&self) -> Result<RunsView<'_>, FoldError> {
        RunsView::new(self.runs.tx.seen().look())
    }

    /// The model `audit`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn audit(&self) -> Result<AuditView<'_>, FoldError> {
        AuditView::new(self.audit.tx.seen().look())
    }

    /// The model `spend`.
    #[must_use]
    pub fn spend(&self) -> SpendView<'_> {
        SpendView::new(self.spend.tx.seen().look())
    }

    /// The model `notices`.
    #[must_use]
    pub fn lost(&self) -> LostView<'_> {
        LostView::new(self.lost.tx.seen().look())
    }

    /// The model `inbox`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn inbox(&self) -> Result<InboxView<'_>, FoldError> {
        InboxView::new(self.inbox.tx.seen().look())
    }
}

//! What the threads of the read side and its callers share.
//!
//! Law: it owns no thread and starts none.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use everfold_base::id::Position;
use everfold_store::{EventStore, ReadError};
use tokio::sync::watch;

use super::location::StorageLocation;
use crate::audit::AuditModel;
use crate::failed_notices::FailedNoticesModel;
use crate::inbox::InboxModel;
use crate::log_reader::Unreadable;
use crate::model::{AnyModel, Model};
use crate::runs::RunsModel;
use crate::spend::SpendModel;
use crate::stages::StagesModel;
use crate::storage::Storage;

/// How far the models are, as their threads report it.
#[derive(Debug, Clone)]
pub(super) struct ModelProgress {
    /// The last event that all models that go on have folded.
    pub(super) position: Position,
    /// They have folded what the log had when they were opened.
    pub(super) ready: bool,
    pub(super) closed: bool,
    /// Why the log cannot be read; reading it is retried.
    pub(super) unread: Option<Arc<ReadError>>,
}

impl ModelProgress {
    /// Whether waiting cannot help: the log is damaged.
    pub(super) fn is_damaged(&self) -> bool {
        let is_damage = |error: &Arc<ReadError>| {
            let error = &**error;
            matches!(
                error,
                ReadError::Damaged(_) | ReadError::DamagedStream { .. } | ReadError::Unlinked { .. }
            )
        };
        self.unread.as_ref().is_some_and(is_damage)
    }
}

/// All read models.
pub(super) struct ModelSet {
    pub(super) runs: Arc<Model<RunsModel>>,
    pub(super) inbox: Arc<Model<InboxModel>>,
    pub(super) audit: Arc<Model<AuditModel>>,
    pub(super) spend: Arc<Model<SpendModel>>,
    pub(super) notices: Arc<Model<FailedNoticesModel>>,
    pub(super) stages: Arc<Model<StagesModel>>,
}

impl ModelSet {
    pub(super) fn all(&self) -> [&dyn AnyModel; 6] {
        let Self { runs, inbox, audit, spend, notices, stages } = self;
        [runs.as_ref(), inbox.as_ref(), audit.as_ref(), spend.as_ref(), notices.as_ref(), stages.as_ref()]
    }

    /// The last event that all models that go on have folded.
    pub(super) fn position(&self) -> Option<Position> {
        self.all().iter().filter(|model| model.stopped().is_none()).map(|model| model.position()).min()
    }
}

pub(super) struct ReadSideState {
    pub(super) models: ModelSet,
    pub(super) storage: Arc<Storage>,
    pub(super) location: StorageLocation,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) progress: watch::Sender<ModelProgress>,
    pub(super) unreadable: Mutex<Vec<Unreadable>>,
    pub(super) next_generation: AtomicU32,
    /// The end of the log when the models were opened.
    pub(super) head_at_open: Position,
    /// The last event that was handed to the models; locked while they fold.
    pub(super) shown: Mutex<Position>,
}

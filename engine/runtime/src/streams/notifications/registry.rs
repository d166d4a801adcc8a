//! The subscriptions of an engine, and how they stand.

use crate::aggregate_store::{AggregateError, AggregateStore};
use crate::config::EngineConfig;
use crate::streams::notifications::subscription::NoticeSubscription;
use everfold_base::id::Position;
use everfold_base::time::Timestamp;
use everfold_core::notifications::{NoticeId, NoticeRefusal, Notices};
use everfold_store::EventStore;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Why a request about an undelivered notice failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoticeError {
    /// It makes no sense now.
    #[error(transparent)]
    Refused(#[from] NoticeRefusal),
    /// The store could not be read, or did not take it.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
}

/// How a subscription stands at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SubscriptionStand {
    /// It has gone through the log up to here.
    pub position: Position,
    /// The notice that it is sending.
    pub telling: Option<String>,
    /// Tries of that notice so far.
    pub tries: u32,
    /// When it is tried again.
    pub next: Option<Timestamp>,
    /// Why the last try failed; `None` where it did not.
    pub failing: Option<String>,
}

/// How an undelivered notice stands that is being resent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResendStand {
    /// Tries in all, those before the order included.
    pub tries: u32,
    /// When it is tried again.
    pub next: Timestamp,
    /// Why the last try failed.
    pub message: String,
}

/// What the tasks that send notices share.
pub(crate) struct Notifications {
    pub(crate) notices: AggregateStore<Notices>,
    pub(crate) stands: Mutex<BTreeMap<String, SubscriptionStand>>,
    pub(crate) subscriptions: Mutex<BTreeMap<String, Arc<NoticeSubscription>>>,
    /// The notices that are being resent and failed at least once since this process began.
    pub(crate) resends: Mutex<BTreeMap<NoticeId, ResendStand>>,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
    /// The task that resends notices has been started.
    pub(crate) is_sending: AtomicBool,
    /// A notice is to be resent.
    pub(crate) wanted: Notify,
    /// Workers that wait stop at once, the others when they have sent what there was.
    pub(crate) ending: watch::Sender<bool>,
}

impl Notifications {
    pub(crate) fn new(store: Arc<dyn EventStore>, config: &EngineConfig) -> Self {
        Self {
            notices: AggregateStore::new(store, config.clock.clone(), config.chance.clone()),
            stands: Mutex::default(),
            subscriptions: Mutex::default(),
            resends: Mutex::default(),
            tasks: Mutex::default(),
            is_sending: AtomicBool::new(false),
            wanted: Notify::new(),
            ending: watch::Sender::new(false),
        }
    }

    pub(crate) fn stand(&self, name: &str, change: impl FnOnce(&mut SubscriptionStand)) {
        change(lock(&self.stands).entry(name.to_owned()).or_default());
    }

    pub(crate) fn subscription(&self, name: &str) -> Option<Arc<NoticeSubscription>> {
        lock(&self.subscriptions).get(name).cloned()
    }

    /// Ends as a crash would.
    pub(crate) fn abort(&self) {
        lock(&self.tasks).iter().for_each(JoinHandle::abort);
    }

    pub(crate) fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

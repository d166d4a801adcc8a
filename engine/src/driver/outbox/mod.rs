//! Subscriptions to what happens in the whole engine, and notices that are sent once more.
//!
//! Laws (L32):
//! - The log is the outbox: a subscription tells of the events behind its position, one after the other, and
//!   records each before it goes on. A crash loses none, and repeats at most the one that was being sent, under the
//!   same id.
//! - Each subscription goes at its own pace, on a task of its own: one that fails holds up nobody else, and no run.
//! - What failed for a day, or cannot get better, becomes a letter that is listed and can be sent again.
//!
//! Begun by the owner of a folder when it goes on with runs.

mod again;
mod subscription;
mod teller;
mod tries;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use subscription::NoticeSubscription;

use self::teller::Teller;
use super::EngineConfig;
use super::engine::Engine;
use crate::actor::Actor;
use crate::execution::NoticeFailure;
use crate::id::Position;
use crate::ledger::{Change, Ledger, LedgerError};
use crate::notices::{Letter, NoticeId, NoticeRefusal, Notices};
use crate::store::{Dedup, EventStore};
use crate::time::Timestamp;

/// Why a letter was not decided on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoticeError {
    /// It makes no sense now.
    #[error(transparent)]
    Refused(#[from] NoticeRefusal),
    /// The store could not be read, or did not take it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// How a subscription stands at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SubscriptionStand {
    /// It has looked at everything up to here.
    pub position: Position,
    /// What it tells of now, or tries to.
    pub telling: Option<String>,
    /// Tries of that so far.
    pub tries: u32,
    /// When it is tried again.
    pub next: Option<Timestamp>,
    /// Why the last try failed; none after one that did not.
    pub failing: Option<String>,
}

/// What all who tell share.
pub(super) struct Outbox {
    ledger: Ledger<Notices>,
    stands: Mutex<BTreeMap<String, SubscriptionStand>>,
    subscriptions: Mutex<BTreeMap<String, Arc<NoticeSubscription>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Letters are sent again by a task.
    is_sending: AtomicBool,
    /// Somebody wants a letter to be sent again.
    wanted: Notify,
    /// Everybody stops who waits, and the others when they have told what there was.
    ending: watch::Sender<bool>,
}

impl Outbox {
    pub(super) fn new(store: Arc<dyn EventStore>, config: &EngineConfig) -> Self {
        Self {
            ledger: Ledger::new(store, config.clock.clone(), config.chance.clone()),
            stands: Mutex::default(),
            subscriptions: Mutex::default(),
            tasks: Mutex::default(),
            is_sending: AtomicBool::new(false),
            wanted: Notify::new(),
            ending: watch::Sender::new(false),
        }
    }

    fn stand(&self, name: &str, change: impl FnOnce(&mut SubscriptionStand)) {
        change(lock(&self.stands).entry(name.to_owned()).or_default());
    }

    fn subscription(&self, name: &str) -> Option<Arc<NoticeSubscription>> {
        lock(&self.subscriptions).get(name).cloned()
    }

    /// Ends as a crash would.
    pub(super) fn abort(&self) {
        lock(&self.tasks).iter().for_each(JoinHandle::abort);
    }

    fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Begins to tell: each subscription from where it was, a new one of what happens from the call on. Letters that
    /// somebody wants to be sent again are.
    pub async fn tell(&self, subscriptions: Vec<NoticeSubscription>) {
        let outbox = &self.inner.shared.outbox;
        for subscription in subscriptions {
            let (name, subscription) = (subscription.name.clone(), Arc::new(subscription));
            if lock(&outbox.subscriptions).insert(name.clone(), Arc::clone(&subscription)).is_none() {
                let teller = Teller::new(Arc::clone(&self.inner.shared), subscription);
                // What cannot be recorded now is by the task, which tries again.
                if let Err(trouble) = teller.open().await {
                    tracing::warn!(subscription = name, "it does not begin yet: {trouble}");
                }
                lock(&outbox.tasks).push(tokio::spawn(teller.run()));
            }
        }
        self.send_again();
    }

    fn send_again(&self) {
        let outbox = &self.inner.shared.outbox;
        outbox.wanted.notify_one();
        if !outbox.is_sending.swap(true, Ordering::AcqRel) {
            lock(&outbox.tasks).push(tokio::spawn(again::run(Arc::clone(&self.inner.shared))));
        }
    }

    /// What nobody could be told of, and how far subscriptions have come, durably.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub async fn notices(&self) -> Result<Arc<Notices>, LedgerError> {
        self.inner.shared.outbox.ledger.current().await
    }

    /// How the subscriptions stand that are being told, by name. Not durable.
    #[must_use]
    pub fn subscriptions(&self) -> BTreeMap<String, SubscriptionStand> {
        lock(&self.inner.shared.outbox.stands).clone()
    }

    /// Has a letter sent again, of a subscription or of a run; resolves when that is durable, before it is sent.
    ///
    /// # Errors
    /// [`NoticeError`]: it is settled, too many are being sent, or the store does not take it.
    pub async fn retry_notice(
        &self,
        letter: &Letter,
        actor: Actor,
        dedup: Option<Dedup>,
    ) -> Result<Change, NoticeError> {
        let ledger = &self.inner.shared.outbox.ledger;
        let decide = |notices: &Notices, _| notices.retry(letter).map_err(NoticeError::from);
        let change = ledger.change(actor, dedup, decide).await?;
        self.send_again();
        Ok(change)
    }

    /// Lets a letter be.
    ///
    /// # Errors
    /// [`NoticeError`]: the store does not take it.
    pub async fn drop_notice(
        &self,
        id: &NoticeId,
        actor: Actor,
        dedup: Option<Dedup>,
    ) -> Result<Change, NoticeError> {
        let ledger = &self.inner.shared.outbox.ledger;
        ledger.change(actor, dedup, |notices, _| Ok(notices.drop_letter(id))).await
    }

    /// Sends a notice that says that it is a test, once.
    ///
    /// # Errors
    /// [`NoticeFailure`]: why it did not arrive.
    pub async fn test_subscription(&self, subscription: &NoticeSubscription) -> Result<(), NoticeFailure> {
        let shared = &self.inner.shared;
        let request = subscription.test(shared.draw_uuid(), shared.now())?;
        tries::once(shared, request).await
    }

    /// Ends what tells: whoever waits for a next try stops at once, the others when they have told what there is.
    /// Those that take longer than `deadline` are let go; what they were about goes again at the next start.
    pub async fn settle_notices(&self, deadline: Duration) {
        let outbox = &self.inner.shared.outbox;
        outbox.ending.send_replace(true);
        outbox.wanted.notify_one();
        let tasks = std::mem::take(&mut *lock(&outbox.tasks));
        let handles: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        if tokio::time::timeout(deadline, futures::future::join_all(tasks)).await.is_err() {
            handles.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

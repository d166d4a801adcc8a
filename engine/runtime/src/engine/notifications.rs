//! Notifications: subscriptions, undelivered notices, the progress of tries.

use crate::aggregate_store::{AggregateError, Change};
use crate::engine::handle::Engine;
use crate::receivers::registry::NoticeStand;
use crate::streams::notifications::queued_notice::superseded_by;
use crate::streams::notifications::registry::{NoticeError, ResendStand, SubscriptionStand, lock};
use crate::streams::notifications::subscription::NoticeSubscription;
use crate::streams::notifications::subscription_worker::SubscriptionWorker;
use everfold_base::actor::Actor;
use everfold_base::id::{RunId, Version};
use everfold_core::notifications::{NoticeId, Notices, UndeliveredNotice};
use everfold_ports::NoticeFailure;
use everfold_store::Dedup;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;

/// What came of an order to send a notice again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeRetry {
    /// What was recorded.
    pub change: Change,
    /// The event that a newer notice of the same channel reports: this one was dropped for it. `None`: it is sent again.
    pub superseded_by: Option<Version>,
}

impl Engine {
    /// How the notices of a run stand that this engine tried to send, or that wait for a receiver that does not answer.
    /// Those that were never tried are not among them; [`everfold_core::state::RunState::outstanding_notices`] lists all.
    #[must_use]
    pub fn notice_stands(&self, run: RunId) -> Vec<NoticeStand> {
        let shared = &self.inner.shared;
        shared.receivers.of(run, shared)
    }
}

impl Engine {
    /// Starts a worker for each subscription: from its recorded position, a new one from the end of the log. Starts
    /// the task that resends given-up deliveries, too.
    pub async fn tell(&self, subscriptions: Vec<NoticeSubscription>) {
        let notifications = &self.inner.shared.notifications;
        for subscription in subscriptions {
            let (name, subscription) = (subscription.name.clone(), Arc::new(subscription));
            if lock(&notifications.subscriptions).insert(name.clone(), Arc::clone(&subscription)).is_none() {
                let worker = SubscriptionWorker::new(Arc::clone(&self.inner.shared), subscription);
                // What cannot be recorded now is recorded by the task, which tries again.
                if let Err(error) = worker.open().await {
                    tracing::warn!(subscription = name, "it does not begin yet: {error}");
                }
                lock(&notifications.tasks).push(tokio::spawn(worker.run()));
            }
        }
        self.send_again();
    }

    fn send_again(&self) {
        let notifications = &self.inner.shared.notifications;
        notifications.wanted.notify_one();
        if !notifications.is_sending.swap(true, Ordering::AcqRel) {
            lock(&notifications.tasks).push(tokio::spawn(crate::streams::notifications::resend::run(
                Arc::clone(&self.inner.shared),
            )));
        }
    }

    /// Failed notices, and how far subscriptions have come, durably.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub async fn notices(&self) -> Result<Arc<Notices>, AggregateError> {
        self.inner.shared.notifications.notices.current().await
    }

    /// How the subscriptions stand that are active, by name. Not durable.
    #[must_use]
    pub fn subscriptions(&self) -> BTreeMap<String, SubscriptionStand> {
        lock(&self.inner.shared.notifications.stands).clone()
    }

    /// How the notices stand that are being resent and failed since; those without a failed try are not among them. Not
    /// durable.
    #[must_use]
    pub fn resends(&self) -> BTreeMap<NoticeId, ResendStand> {
        lock(&self.inner.shared.notifications.resends).clone()
    }

    /// Has an undelivered notice sent again, of a subscription or of a run; resolves when the request is durable,
    /// before the notice is sent. One that a newer one of its channel has made moot is dropped instead.
    ///
    /// # Errors
    /// [`NoticeError`]: it is settled, too many are being sent, or the store does not take it.
    pub async fn retry_notice(
        &self,
        undelivered: &UndeliveredNotice,
        actor: Actor,
        dedup: Option<Dedup>,
    ) -> Result<NoticeRetry, NoticeError> {
        let shared = &self.inner.shared;
        let superseded_by = superseded_by(shared, &undelivered.id).await.unwrap_or_else(|error| {
            // It is looked at once more before it is sent.
            tracing::debug!(notice = %undelivered.id, %error, "what came after it cannot be read now");
            None
        });
        if superseded_by.is_some() {
            let change = self.drop_notice(&undelivered.id, actor, dedup).await?;
            return Ok(NoticeRetry { change, superseded_by });
        }
        let decide = |notices: &Notices, _| notices.retry(undelivered).map_err(NoticeError::from);
        let change = shared.notifications.notices.change(actor, dedup, decide).await?;
        self.send_again();
        Ok(NoticeRetry { change, superseded_by: None })
    }

    /// Dismisses an undelivered notice.
    ///
    /// # Errors
    /// [`NoticeError`]: the store does not take it.
    pub async fn drop_notice(
        &self,
        id: &NoticeId,
        actor: Actor,
        dedup: Option<Dedup>,
    ) -> Result<Change, NoticeError> {
        let notices = &self.inner.shared.notifications.notices;
        notices.change(actor, dedup, |notices, _| Ok(notices.drop_notice(id))).await
    }

    /// Sends a notice that says that it is a test, once.
    ///
    /// # Errors
    /// [`NoticeFailure`]: why it did not arrive.
    pub async fn test_subscription(&self, subscription: &NoticeSubscription) -> Result<(), NoticeFailure> {
        let shared = &self.inner.shared;
        let request = subscription.test(shared.draw_uuid(), shared.now())?;
        crate::streams::notifications::delivery::once(shared, request).await
    }

    /// Ends the workers: those that wait for a next try stop at once, the others when they have sent what there is.
    /// Those that take longer than `deadline` are aborted; the next start sends their notices again.
    pub async fn settle_notices(&self, deadline: Duration) {
        let notifications = &self.inner.shared.notifications;
        notifications.ending.send_replace(true);
        notifications.wanted.notify_one();
        let tasks = std::mem::take(&mut *lock(&notifications.tasks));
        let handles: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        if tokio::time::timeout(deadline, futures::future::join_all(tasks)).await.is_err() {
            handles.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

//! Requests to the webhook actor.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::streams::mailbox::Mailbox;
use crate::streams::triggers::by::By;
use crate::streams::webhooks::error::HookError;
use crate::streams::webhooks::receipt::Receipt;
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::id::{RunId, Version};
use everfold_core::hooks::{DeliveryReceived, SignalOrigin};

/// Requests that wait for the actor; callers that bring more wait, too.
const WAITING_MAX: usize = 256;

/// Where the answer to a delivery goes.
pub(crate) type Answer = oneshot::Sender<Result<Receipt, HookError>>;

/// A request to the webhook actor.
pub(crate) enum WebhookRequest {
    /// A delivery comes: from its source, or by the hand of a person.
    Deliver { source: String, delivery: Box<DeliveryReceived>, by: Actor, answer: Answer },
    /// A delivery is to be handled once more.
    Redeliver { source: String, delivery: Version, nth: u32, by: By, answer: Answer },
    /// These runs are about to get a signal.
    RecordTargets { source: String, by: SignalOrigin, runs: Vec<RunId>, answer: oneshot::Sender<()> },
    /// A former engine left something undone in these sources.
    Look(Vec<StreamId>),
    /// This engine resumes runs: signals that wait may be for one of them.
    Attend,
    /// Time has passed: what waited for too long is given up.
    Tick,
}

/// The webhook actor's mailbox.
pub(crate) struct WebhookMailbox {
    pub(crate) requests: Mailbox<WebhookRequest>,
    /// The actor was asked to look for signals that wait.
    is_attended: AtomicBool,
}

impl Default for WebhookMailbox {
    fn default() -> Self {
        Self { requests: Mailbox::bounded(WAITING_MAX), is_attended: AtomicBool::new(false) }
    }
}

impl WebhookMailbox {
    /// A run goes on in this engine, which may have no server: signals that wait are offered from now on.
    pub(crate) fn attend(&self) {
        if !self.is_attended.swap(true, Ordering::AcqRel) && !self.requests.try_put(WebhookRequest::Attend) {
            // The mailbox is full or closed: the next run that goes on asks again.
            self.is_attended.store(false, Ordering::Release);
        }
    }

    /// A former engine left something undone in these sources.
    pub(crate) async fn look(&self, sources: Vec<StreamId>) {
        if !sources.is_empty() {
            // Without the actor the engine ends.
            let _closed = self.requests.send(WebhookRequest::Look(sources)).await;
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&self) {
        // Where the mailbox is full, the next tick has the actor give up what is too old.
        let _full = self.requests.try_put(WebhookRequest::Tick);
    }

    /// Asks for a delivery to be recorded, or handled once more.
    pub(crate) async fn ask(
        &self,
        request: impl FnOnce(Answer) -> WebhookRequest,
    ) -> Result<Receipt, HookError> {
        self.requests.ask(request).await.unwrap_or(Err(HookError::ShuttingDown))
    }
}

//! The mailbox of the webhook task, and what it is asked.

use crate::streams::triggers::by::By;
use crate::streams::webhooks::error::HookError;
use crate::streams::webhooks::receipt::Receipt;
use everfold_base::envelope::StreamId;
use everfold_base::id::{RunId, Version};
use everfold_core::hooks::{DeliveryReceived, MeantBy};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

/// Deliveries that wait for the actor; callers that bring more wait, too.
const WAITING_MAX: usize = 256;

/// Where the answer to a delivery goes.
pub(crate) type Answer = oneshot::Sender<Result<Receipt, HookError>>;

/// A request to the webhook actor.
pub(crate) enum HookRequest {
    /// A delivery comes.
    Deliver { source: String, delivery: Box<DeliveryReceived>, answer: Answer },
    /// A delivery is to be handled once more.
    Redeliver { source: String, delivery: Version, nth: u32, by: By, answer: Answer },
    /// These runs are about to get a signal.
    RecordTargets { source: String, by: MeantBy, runs: Vec<RunId>, answer: oneshot::Sender<()> },
    /// A former engine left something undone in these.
    Look(Vec<StreamId>),
    /// A run goes on here: signals that wait may be meant for it.
    Attend,
    /// Time has passed: what waited for too long is given up.
    Tick,
}

/// The mailbox of the webhook actor.
pub(crate) struct HookPost {
    pub(crate) asks: mpsc::Sender<HookRequest>,
    /// Signals that wait are looked after.
    is_attended: AtomicBool,
    requests: std::sync::Mutex<Option<mpsc::Receiver<HookRequest>>>,
}

impl Default for HookPost {
    fn default() -> Self {
        let (asks, requests) = mpsc::channel(WAITING_MAX);
        Self { asks, is_attended: AtomicBool::new(false), requests: std::sync::Mutex::new(Some(requests)) }
    }
}

impl HookPost {
    /// The receiving end, once.
    pub(crate) fn take(&self) -> Option<mpsc::Receiver<HookRequest>> {
        self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// A run goes on here, also without a server: what waits for it is offered, from now on.
    pub(crate) fn attend(&self) {
        if !self.is_attended.swap(true, Ordering::AcqRel) && self.asks.try_send(HookRequest::Attend).is_err()
        {
            // The actor is busy, or gone: the next run that goes on asks again.
            self.is_attended.store(false, Ordering::Release);
        }
    }

    /// A former engine left something undone in these sources.
    pub(crate) async fn look(&self, sources: Vec<StreamId>) {
        if !sources.is_empty() {
            // With the actor gone the engine ends.
            let _gone = self.asks.send(HookRequest::Look(sources)).await;
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&self) {
        // An actor that is busy gives up what is too old the next time.
        let _full = self.asks.try_send(HookRequest::Tick);
    }

    pub(crate) async fn ask(&self, ask: impl FnOnce(Answer) -> HookRequest) -> Result<Receipt, HookError> {
        let (answer, receipt) = oneshot::channel();
        self.asks.send(ask(answer)).await.map_err(|_| HookError::ShuttingDown)?;
        receipt.await.unwrap_or(Err(HookError::ShuttingDown))
    }
}

//! Hooks: deliveries are taken, handled, and told of.
//!
//! Law: one task is the only writer of the sources' streams. A delivery is durable before anybody is
//! answered; the deliveries of a source are handled one after the other, in the order in which they came;
//! what is to be handled is read from the folded stream, so recovery is the ordinary path taken once more.

mod desk;
mod handle;
mod list;
mod source;

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

pub(super) use desk::HookDesk;
pub use list::{DeliveryRecord, Handling};

use super::engine::Engine;
use super::triggers::By;
use crate::envelope::StreamId;
use crate::hooks::{
    BODY_BYTES_MAX, DeliveryReceived, HEADERS_BYTES_MAX, ID_BYTES_MAX, MeantBy, TriggerOutcome, is_source,
};
use crate::id::{Position, RunId, Version};
use crate::json::DEPTH_MAX;

/// Deliveries that wait for the desk; those who bring more wait, too.
const WAITING_MAX: usize = 256;

/// Why a delivery was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// The source has no usable name.
    #[error("“{0}” is no name of a source: lower-case letters, digits, - and _, at most 64")]
    BadSource(String),
    /// The delivery has no usable id.
    #[error("the id of a delivery has 1 to {ID_BYTES_MAX} bytes and no control characters")]
    BadId,
    /// Too much was delivered at once.
    #[error("{what} of a delivery may have {max} bytes, this has {size}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How much it is.
        size: usize,
        /// How much it may be.
        max: usize,
    },
    /// Its body is nested too deeply.
    #[error("the body of a delivery may be nested {max} levels deep, this is {depth}")]
    TooDeep {
        /// How deep it is.
        depth: usize,
        /// How deep it may be.
        max: usize,
    },
    /// There is no such delivery.
    #[error("there is no delivery “{0}”")]
    NotFound(String),
    /// Several deliveries fit.
    #[error("several deliveries begin with “{0}”")]
    Ambiguous(String),
    /// It is being handled at this moment.
    #[error("the delivery is being handled already")]
    BeingHandled,
    /// The idempotency key was used for another order.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The store cannot be read, or takes nothing.
    #[error("{0}")]
    Store(String),
    /// The engine ends.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

/// A delivery that is durable.
#[derive(Debug)]
pub struct Receipt {
    /// The version of its event in its source's stream.
    pub delivery: Version,
    /// How often it is handled with this time.
    pub nth: u32,
    /// The place in the store.
    pub position: Position,
    /// It came before; nothing was recorded.
    pub repeated: bool,
    /// Resolves when it is handled, with what it led to; never where the engine ends before.
    pub outcome: oneshot::Receiver<Vec<TriggerOutcome>>,
}

/// Where the answer to a delivery goes.
type Answer = oneshot::Sender<Result<Receipt, HookError>>;

/// What the desk is told.
enum Ask {
    /// A delivery comes.
    Deliver { source: String, delivery: Box<DeliveryReceived>, answer: Answer },
    /// A delivery is to be handled once more.
    Redeliver { source: String, delivery: Version, nth: u32, by: By, answer: Answer },
    /// These runs are about to be told.
    Mean { source: String, by: MeantBy, runs: Vec<RunId>, answer: oneshot::Sender<()> },
    /// A former engine left something undone in these.
    Look(Vec<StreamId>),
    /// A run goes on here: signals that wait may be meant for it.
    Attend,
    /// Time has passed: what waited for too long is given up.
    Tick,
}

/// The way to the desk.
pub(super) struct HookPost {
    asks: mpsc::Sender<Ask>,
    /// Signals that wait are looked after.
    is_attended: AtomicBool,
    desk: std::sync::Mutex<Option<mpsc::Receiver<Ask>>>,
}

impl Default for HookPost {
    fn default() -> Self {
        let (asks, desk) = mpsc::channel(WAITING_MAX);
        Self { asks, is_attended: AtomicBool::new(false), desk: std::sync::Mutex::new(Some(desk)) }
    }
}

impl HookPost {
    /// The receiving end, once.
    fn take(&self) -> Option<mpsc::Receiver<Ask>> {
        self.desk.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// A run goes on here, also where nobody serves: what waits for it is offered, from now on.
    pub(super) fn attend(&self) {
        if !self.is_attended.swap(true, Ordering::AcqRel) && self.asks.try_send(Ask::Attend).is_err() {
            // The desk is busy, or gone: the next run that goes on asks again.
            self.is_attended.store(false, Ordering::Release);
        }
    }

    /// A former engine left something undone in these sources.
    pub(super) async fn look(&self, sources: Vec<StreamId>) {
        if !sources.is_empty() {
            // With the desk gone the engine ends.
            let _gone = self.asks.send(Ask::Look(sources)).await;
        }
    }

    /// Time has passed.
    pub(super) fn tick(&self) {
        // A desk that is busy gives up what is too old the next time.
        let _full = self.asks.try_send(Ask::Tick);
    }

    async fn ask(&self, ask: impl FnOnce(Answer) -> Ask) -> Result<Receipt, HookError> {
        let (answer, receipt) = oneshot::channel();
        self.asks.send(ask(answer)).await.map_err(|_| HookError::ShuttingDown)?;
        receipt.await.unwrap_or(Err(HookError::ShuttingDown))
    }
}

impl Engine {
    /// Takes a delivery of a source; resolves when it is durable, and before it is handled.
    ///
    /// # Errors
    /// [`HookError`]: it is too large or nameless, or the store takes nothing. Nothing was recorded.
    pub async fn deliver(&self, source: &str, delivery: DeliveryReceived) -> Result<Receipt, HookError> {
        if !is_source(source) {
            return Err(HookError::BadSource(source.chars().take(64).collect()));
        }
        let id = &delivery.id;
        if id.is_empty() || id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
            return Err(HookError::BadId);
        }
        let headers = delivery.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let about = delivery.about.as_str().len();
        for (what, size, max) in [
            ("the body", delivery.body.as_str().len(), BODY_BYTES_MAX),
            ("the headers", headers, HEADERS_BYTES_MAX),
            ("what is read of it", about, BODY_BYTES_MAX),
        ] {
            if size > max {
                return Err(HookError::TooLarge { what, size, max });
            }
        }
        let depth = delivery.body.depth().max(delivery.about.depth());
        if depth > DEPTH_MAX {
            return Err(HookError::TooDeep { depth, max: DEPTH_MAX });
        }
        let source = source.to_owned();
        let delivery = Box::new(delivery);
        self.inner.shared.hooks.ask(|answer| Ask::Deliver { source, delivery, answer }).await
    }

    /// Has a delivery handled once more, as if it had come just now.
    ///
    /// # Errors
    /// [`HookError`]: there is none, it is being handled, or the store takes nothing.
    pub async fn redeliver(&self, record: &DeliveryRecord, by: impl Into<By>) -> Result<Receipt, HookError> {
        let (source, delivery) = (record.source.clone(), record.delivery);
        let nth = record.handled.iter().map(|handling| handling.nth).max().unwrap_or(0);
        let by = by.into();
        let ask = |answer| Ask::Redeliver { source, delivery, nth, by, answer };
        self.inner.shared.hooks.ask(ask).await
    }
}

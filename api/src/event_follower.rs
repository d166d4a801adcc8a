//! Follows the log beside the engine: for counts, traces and lines.
//!
//! Law: a follower gets each event once, in order, also where the log could not be read for a moment.

use std::sync::Arc;
use std::time::Duration;

use everfold_engine::envelope::Envelope;
use everfold_engine::id::Position;
use everfold_engine::store::{EventStore, ReadError, Subscription};

/// The pause before a log is read again that could not be.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// A place in the log.
pub(crate) struct EventFollower {
    store: Arc<dyn EventStore>,
    events: Box<dyn Subscription>,
    next: Position,
    is_reported: bool,
}

impl EventFollower {
    /// From a position on.
    pub(crate) fn from(store: Arc<dyn EventStore>, next: Position) -> Self {
        let events = store.subscribe(next);
        Self { store, events, next, is_reported: false }
    }

    /// From here on.
    pub(crate) fn from_now(store: Arc<dyn EventStore>) -> Self {
        let next = store.last_position().next();
        Self::from(store, next)
    }

    /// The next events, at least one; `None` after the store's end. A caller that stops waiting loses none.
    pub(crate) async fn next(&mut self) -> Option<Vec<Arc<Envelope>>> {
        loop {
            match self.events.next().await {
                Ok(events) => {
                    self.next = events.last().map_or(self.next, |last| last.position.next());
                    self.is_reported = false;
                    return Some(events);
                }
                Err(ReadError::Closed) => return None,
                Err(error) => {
                    if !std::mem::replace(&mut self.is_reported, true) {
                        tracing::warn!(%error, "the log cannot be followed; it is tried again");
                    }
                    self.events = self.store.subscribe(self.next);
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }
}

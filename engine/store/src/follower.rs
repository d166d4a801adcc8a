//! Following the log.
//!
//! Law: each event from the first position on comes once, in order. A slow follower is served from
//! the journal; it never delays the writer or another follower.
//!
//! Made by [`super::SledStore::subscribe`].

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::error::ReadError;
use super::event_store::Subscription;
use super::journal::reader::JournalCursor;
use super::published::PublishedEnd;
use super::store_core::StoreCore;
use everfold_base::envelope::{Envelope, EventView};
use everfold_base::id::Position;

/// Events that come at once at most.
const EVENTS_MAX: usize = 1_024;
/// Bytes of payload that come at once, but for the last event.
const BYTES_ENOUGH: usize = 1024 * 1024;

/// A reader that follows the store.
pub(crate) struct Follower {
    core: Arc<StoreCore>,
    published: watch::Receiver<PublishedEnd>,
    next: Position,
    /// The place in the journal, while the newest events are ahead.
    cursor: Option<JournalCursor>,
    /// What comes at once at most.
    events_max: usize,
    bytes_enough: usize,
}

impl Follower {
    pub(crate) fn new(core: Arc<StoreCore>, from: Position) -> Self {
        let published = core.published.subscribe();
        let next = from.max(Position::FIRST);
        Self { core, published, next, cursor: None, events_max: EVENTS_MAX, bytes_enough: BYTES_ENOUGH }
    }

    async fn wait(&mut self) -> Result<Position, ReadError> {
        let next = self.next;
        let published = self
            .published
            .wait_for(|published| published.position >= next || published.closed)
            .await
            .map_err(|_| ReadError::Closed)?;
        // What was durable before the end is still given out.
        if published.position >= next { Ok(published.position) } else { Err(ReadError::Closed) }
    }

    /// The newest events, where what comes next is among them.
    fn newest(&mut self) -> Option<Vec<Arc<Envelope>>> {
        let events = self.core.recent.read(self.next, self.events_max).filter(|events| !events.is_empty())?;
        self.cursor = None;
        Some(events)
    }

    /// The place of what comes next in the journal.
    fn cursor(&mut self) -> JournalCursor {
        self.cursor.take().filter(|cursor| cursor.position() == self.next).unwrap_or_else(|| {
            JournalCursor::new(self.core.files.clone(), self.core.segments.clone(), self.next)
        })
    }

    async fn read(&mut self, last: Position) -> Result<Vec<Arc<Envelope>>, ReadError> {
        if let Some(events) = self.newest() {
            return Ok(events);
        }
        let mut cursor = self.cursor();
        let (events_max, bytes_enough) = (self.events_max, self.bytes_enough);
        let read = tokio::task::spawn_blocking(move || {
            let events = cursor.next_events(last, events_max, bytes_enough);
            (events, cursor)
        });
        let (events, cursor) = read.await.map_err(|_| ReadError::Closed)?;
        let events = events?;
        self.cursor = Some(cursor);
        Ok(events)
    }

    fn unreadable(&self) -> ReadError {
        // The position is published after the events are in the journal.
        ReadError::Index(format!("position {} is published and not readable", self.next))
    }
}

impl Subscription for Follower {
    fn give_at_most(&mut self, events: usize, bytes: usize) {
        (self.events_max, self.bytes_enough) = (events.clamp(1, EVENTS_MAX), bytes.clamp(1, BYTES_ENOUGH));
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, ReadError>> {
        Box::pin(async move {
            let last = self.wait().await?;
            let events = self.read(last).await?;
            let Some(newest) = events.last() else { return Err(self.unreadable()) };
            self.next = newest.position.next();
            Ok(events)
        })
    }

    fn show(&mut self, each: &mut dyn FnMut(&EventView<'_>)) -> Result<bool, ReadError> {
        let last = self.published.borrow().position;
        if last < self.next {
            return Ok(false);
        }
        let before = self.next;
        if let Some(events) = self.newest() {
            for event in events {
                each(&EventView::from(&*event));
                self.next = event.position.next();
            }
        } else {
            let mut cursor = self.cursor();
            cursor.show_events(last, EVENTS_MAX, BYTES_ENOUGH, each)?;
            self.next = cursor.position();
            self.cursor = Some(cursor);
        }
        if self.next > before { Ok(true) } else { Err(self.unreadable()) }
    }
}

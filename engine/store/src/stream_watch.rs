//! Watching one stream: who waits for it is woken by its own appends, and by no others.
//!
//! Law: what is durable behind the making of a watch wakes it; several appends may do so once.
//!
//! Made by [`super::EventStore::watch`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::error::ReadError;
use everfold_base::envelope::StreamId;

type Senders = HashMap<StreamId, watch::Sender<()>>;

/// The watched streams of a store.
#[derive(Default)]
pub(crate) struct WatchedStreams {
    senders: Mutex<Senders>,
    /// How many there are, so that appends of a store that nobody watches take no lock.
    count: AtomicUsize,
    /// Nothing is appended any more. Written while `senders` is locked.
    is_closed: AtomicBool,
}

/// A watch of a stream, from where it was made.
pub struct StreamWatch {
    watched: Arc<WatchedStreams>,
    stream: StreamId,
    /// `None`: the store had been closed.
    appends: Option<watch::Receiver<()>>,
}

impl StreamWatch {
    /// Waits until something was appended to the stream since the last answer, or since the watch was made.
    ///
    /// # Errors
    /// [`ReadError::Closed`] after the store's end.
    pub async fn changed(&mut self) -> Result<(), ReadError> {
        let appends = self.appends.as_mut().ok_or(ReadError::Closed)?;
        appends.changed().await.map_err(|_| ReadError::Closed)
    }
}

impl Drop for StreamWatch {
    fn drop(&mut self) {
        self.appends = None;
        let mut senders = self.watched.senders();
        if senders.get(&self.stream).is_some_and(|sender| sender.receiver_count() == 0) {
            senders.remove(&self.stream);
            self.watched.count.store(senders.len(), Ordering::Release);
        }
    }
}

impl WatchedStreams {
    /// Watches a stream.
    pub(crate) fn of(self: &Arc<Self>, stream: &StreamId) -> StreamWatch {
        let mut senders = self.senders();
        let is_open = !self.is_closed.load(Ordering::Acquire);
        let appends = is_open.then(|| senders.entry(stream.clone()).or_default().subscribe());
        self.count.store(senders.len(), Ordering::Release);
        StreamWatch { watched: Arc::clone(self), stream: stream.clone(), appends }
    }

    /// These streams have events that are published. A watch that is made meanwhile is not woken for them: its caller
    /// looks at the stream behind the making, and finds them.
    pub(crate) fn report<'s>(&self, appended: impl IntoIterator<Item = &'s StreamId>) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let senders = self.senders();
        for stream in appended {
            if let Some(sender) = senders.get(stream) {
                sender.send_replace(());
            }
        }
    }

    /// Ends all watches.
    pub(crate) fn close(&self) {
        let mut senders = self.senders();
        self.is_closed.store(true, Ordering::Release);
        senders.clear();
        self.count.store(0, Ordering::Release);
    }

    fn senders(&self) -> MutexGuard<'_, Senders> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use everfold_base::id::RunId;
    use futures::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    fn stream(n: u128) -> StreamId {
        StreamId::run(RunId(Uuid::from_u128(n)))
    }

    #[test]
    fn a_watch_is_woken_by_its_own_stream_once_for_several_appends() {
        let watched = Arc::new(WatchedStreams::default());
        let mut one = watched.of(&stream(1));
        watched.report([&stream(2)]);
        assert!(one.changed().now_or_never().is_none());
        watched.report([&stream(1), &stream(1)]);
        assert!(matches!(one.changed().now_or_never(), Some(Ok(()))));
        assert!(one.changed().now_or_never().is_none());
    }

    #[test]
    fn a_closed_store_ends_its_watches_and_gives_no_new_ones() {
        let watched = Arc::new(WatchedStreams::default());
        let mut one = watched.of(&stream(1));
        watched.close();
        assert!(matches!(one.changed().now_or_never(), Some(Err(ReadError::Closed))));
        assert!(matches!(watched.of(&stream(1)).changed().now_or_never(), Some(Err(ReadError::Closed))));
    }

    #[test]
    fn watches_that_are_gone_leave_nothing_behind() {
        let watched = Arc::new(WatchedStreams::default());
        let (one, other) = (watched.of(&stream(1)), watched.of(&stream(1)));
        drop(one);
        assert_eq!(watched.senders().len(), 1);
        drop(other);
        assert_eq!((watched.senders().len(), watched.count.load(Ordering::Acquire)), (0, 0));
    }
}

//! The chunks that are queued for the reader of a stream.
//!
//! Law: nothing is read for a reader whose queue is full; what it holds beyond the bound is the rest of one chunk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{Notify, mpsc};

/// The sending end.
pub(super) struct ChunkQueue {
    chunks: mpsc::UnboundedSender<QueuedChunk>,
    queued: Arc<QueuedBytes>,
    bytes_max: usize,
}

/// The receiving end.
pub(super) struct TakenChunks(mpsc::UnboundedReceiver<QueuedChunk>);

#[derive(Default)]
struct QueuedBytes {
    bytes: AtomicUsize,
    /// Told whenever a chunk is taken; the feed of the stream alone waits for it.
    taken: Notify,
}

struct QueuedChunk {
    chunk: Bytes,
    queued: Arc<QueuedBytes>,
    bytes: usize,
}

/// Why nothing further is handed over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HandOverError {
    /// The reader is gone.
    Gone,
    /// The queue was full for so long.
    Slow,
}

impl ChunkQueue {
    pub(super) fn new(bytes_max: usize) -> (Self, TakenChunks) {
        let (chunks, taken) = mpsc::unbounded_channel();
        (Self { chunks, queued: Arc::default(), bytes_max }, TakenChunks(taken))
    }

    /// Whether the reader has enough to read.
    pub(super) fn is_full(&self) -> bool {
        self.queued.bytes.load(Ordering::Acquire) >= self.bytes_max
    }

    /// Waits until the reader has taken half of what fits: a stream that rested begins anew at a cost, so it does not for
    /// each chunk.
    pub(super) async fn half_taken(&self, patience: Duration) -> Result<(), HandOverError> {
        let half_taken = async {
            while self.queued.bytes.load(Ordering::Acquire) > self.bytes_max / 2 {
                self.queued.taken.notified().await;
            }
        };
        tokio::select! {
            biased;
            () = self.chunks.closed() => Err(HandOverError::Gone),
            taken = tokio::time::timeout(patience, half_taken) => taken.map_err(|_| HandOverError::Slow),
        }
    }

    /// Queues a chunk.
    pub(super) fn send(&self, chunk: Bytes) -> Result<(), HandOverError> {
        let bytes = chunk.len();
        self.queued.bytes.fetch_add(bytes, Ordering::AcqRel);
        let queued = QueuedChunk { chunk, queued: Arc::clone(&self.queued), bytes };
        self.chunks.send(queued).map_err(|_| HandOverError::Gone)
    }

    /// Resolves when the reader is gone.
    pub(super) async fn closed(&self) {
        self.chunks.closed().await;
    }
}

impl TakenChunks {
    /// The next chunk; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await.map(QueuedChunk::take)
    }

    #[cfg(test)]
    pub(super) fn try_next(&mut self) -> Option<Bytes> {
        self.0.try_recv().ok().map(QueuedChunk::take)
    }
}

impl QueuedChunk {
    fn take(mut self) -> Bytes {
        std::mem::take(&mut self.chunk)
    }
}

impl Drop for QueuedChunk {
    fn drop(&mut self) {
        self.queued.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.queued.taken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_waits_until_half_of_it_is_taken_or_the_time_is_over() {
        let (queue, mut taken) = ChunkQueue::new(100);
        for n in 0..4 {
            assert!(!queue.is_full(), "{n}");
            queue.send(Bytes::from(vec![b'x'; 25])).unwrap();
        }
        assert!(queue.is_full());
        assert_eq!(queue.half_taken(MINUTE).await, Err(HandOverError::Slow));
        taken.next().await.unwrap();
        assert!(!queue.is_full() && queue.half_taken(MINUTE).now_or_never().is_none());
        taken.next().await.unwrap();
        assert_eq!(queue.half_taken(MINUTE).await, Ok(()));
        drop(taken);
        assert_eq!(queue.send(Bytes::from_static(b"x")), Err(HandOverError::Gone));
        assert_eq!(queue.half_taken(MINUTE).now_or_never(), Some(Err(HandOverError::Gone)));
    }
}

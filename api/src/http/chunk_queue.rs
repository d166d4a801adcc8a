//! The chunks that are queued for the reader of a stream.
//!
//! Law: nothing is read for a reader whose queue is full; what it holds beyond the bound is the rest of one chunk. An empty
//! queue has no memory of its own: most streams wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::Notify;

/// The sending end.
pub(super) struct ChunkQueue {
    shared: Arc<SharedQueue>,
    bytes_max: usize,
}

/// The receiving end.
pub(super) struct TakenChunks(Arc<SharedQueue>);

#[derive(Default)]
struct SharedQueue {
    state: Mutex<QueueState>,
    /// Notified when a chunk is queued, and when the sending end is gone.
    queued: Notify,
    /// Notified when a chunk is taken, and when the receiving end is gone; [`ChunkQueue::half_taken`] alone waits for it.
    taken: Notify,
    /// Notified when the receiving end is gone; [`ChunkQueue::closed`] alone waits for it.
    reader_gone: Notify,
}

#[derive(Default)]
struct QueueState {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    is_sender_gone: bool,
    is_reader_gone: bool,
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
        let shared = Arc::<SharedQueue>::default();
        (Self { shared: Arc::clone(&shared), bytes_max }, TakenChunks(shared))
    }

    /// Whether the reader has enough to read.
    pub(super) fn is_full(&self) -> bool {
        self.shared.state().bytes >= self.bytes_max
    }

    /// Waits until the reader has taken half of what fits: a stream that rested begins anew at a cost, so it does not for
    /// each chunk.
    pub(super) async fn half_taken(&self, patience: Duration) -> Result<(), HandOverError> {
        let half_taken = self.shared.once(&self.shared.taken, |state| match state {
            QueueState { is_reader_gone: true, .. } => Some(Err(HandOverError::Gone)),
            state => (state.bytes <= self.bytes_max / 2).then_some(Ok(())),
        });
        tokio::time::timeout(patience, half_taken).await.unwrap_or(Err(HandOverError::Slow))
    }

    /// Queues a chunk.
    pub(super) fn send(&self, chunk: Bytes) -> Result<(), HandOverError> {
        let mut state = self.shared.state();
        if state.is_reader_gone {
            return Err(HandOverError::Gone);
        }
        state.bytes += chunk.len();
        state.chunks.push_back(chunk);
        drop(state);
        self.shared.queued.notify_one();
        Ok(())
    }

    /// Resolves when the reader is gone.
    pub(super) async fn closed(&self) {
        self.shared.once(&self.shared.reader_gone, |state| state.is_reader_gone.then_some(())).await;
    }
}

impl Drop for ChunkQueue {
    fn drop(&mut self) {
        self.shared.state().is_sender_gone = true;
        self.shared.queued.notify_one();
    }
}

impl TakenChunks {
    /// The next chunk; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.take() {
                return Some(chunk);
            }
            // Looked at once more: the last chunk may have come before the end.
            if self.0.state().is_sender_gone {
                return self.take();
            }
            self.0.queued.notified().await;
        }
    }

    #[cfg(test)]
    pub(super) fn try_next(&mut self) -> Option<Bytes> {
        self.take()
    }

    fn take(&mut self) -> Option<Bytes> {
        let mut state = self.0.state();
        let chunk = state.chunks.pop_front()?;
        state.bytes -= chunk.len();
        if state.chunks.is_empty() {
            state.chunks = VecDeque::new();
        }
        drop(state);
        self.0.taken.notify_one();
        Some(chunk)
    }
}

impl Drop for TakenChunks {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_reader_gone = true;
        // What is queued holds a part of its caller's answers.
        let chunks = std::mem::take(&mut state.chunks);
        state.bytes = 0;
        drop(state);
        drop(chunks);
        self.0.taken.notify_one();
        self.0.reader_gone.notify_one();
    }
}

impl SharedQueue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        // Whatever is changed under it is changed whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is an answer, which is looked for at each notification. One that comes before this waits is kept.
    async fn once<T>(&self, notify: &Notify, answer: impl Fn(&QueueState) -> Option<T>) -> T {
        loop {
            let found = answer(&self.state());
            match found {
                Some(found) => return found,
                None => notify.notified().await,
            }
        }
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

    #[tokio::test(start_paused = true)]
    async fn what_is_queued_is_taken_in_order_also_behind_the_end_and_whoever_waits_is_told() {
        let (queue, mut taken) = ChunkQueue::new(4);
        let reader = tokio::spawn(async move {
            let mut chunks = Vec::new();
            while let Some(chunk) = taken.next().await {
                chunks.extend_from_slice(&chunk);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            (chunks, taken)
        });
        // As a stream does: it waits for the end of its reader all the while.
        let feed = async {
            for byte in 0..20_u8 {
                if queue.is_full() {
                    queue.half_taken(MINUTE).await.unwrap();
                }
                queue.send(Bytes::from(vec![byte])).unwrap();
            }
        };
        tokio::select! {
            biased;
            () = queue.closed() => panic!("the reader is there"),
            () = feed => {}
        }
        drop(queue);
        let (chunks, taken) = reader.await.unwrap();
        assert_eq!(chunks, (0..20).collect::<Vec<u8>>());
        drop(taken);
        let (queue, taken) = ChunkQueue::new(4);
        let closed = tokio::spawn(async move { queue.closed().await });
        tokio::task::yield_now().await;
        drop(taken);
        tokio::time::timeout(MINUTE, closed).await.unwrap().unwrap();
    }
}

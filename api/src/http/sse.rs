//! Server-sent events: what all streams have in common.
//!
//! Law: no stream waits for a slow reader without a bound. A bounded number of bytes is queued for it; when they have
//! been queued too long the stream ends with an event `end` that names the id to resume from. An idle stream sends a
//! comment every [`IDLE`]. Every stream ends when the node closes, and when its caller's token or session ends.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::app::App;
use super::session_check::SessionCheck;
use crate::body::sse_chunk::sse_chunk;

/// The content type of streams.
pub(super) const KIND: &str = "text/event-stream";
/// How often an idle stream sends a comment.
pub(super) const IDLE: Duration = Duration::from_secs(15);
/// Bytes that are queued for a reader; a single chunk may be larger, and is then queued alone.
const WAITING_BYTES_MAX: usize = 256 * 1024;
/// How long they may be queued. Shorter than the time after which the server closes a connection that takes nothing, so
/// that the event `end` reaches a reader that begins to read again.
const PATIENCE: Duration = Duration::from_secs(20);

/// What feeds a stream.
pub(super) trait ChunkSource: Send + 'static {
    /// The next chunk; `None` at the end.
    fn next(&mut self) -> BoxFuture<'_, Option<Bytes>>;

    /// The id from which a reader resumes that has taken nothing yet; asked before the first chunk.
    fn first_id(&self) -> String;
}

/// The sending end of the chunks that are queued for a reader.
struct ChunkQueue {
    chunks: mpsc::UnboundedSender<QueuedChunk>,
    /// Permits for the bytes that still fit.
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

/// A queued chunk with its permits.
struct QueuedChunk {
    chunk: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Why a chunk was not handed over.
#[derive(Debug, PartialEq, Eq)]
enum HandOverError {
    /// The reader is gone.
    Gone,
    /// The queue was full for so long.
    Slow,
}

impl ChunkQueue {
    fn new(bytes_max: usize) -> (Self, mpsc::UnboundedReceiver<QueuedChunk>) {
        let (chunks, taken) = mpsc::unbounded_channel();
        (Self { chunks, bytes: Arc::new(Semaphore::new(bytes_max)), bytes_max }, taken)
    }

    fn weight(&self, chunk: &Bytes) -> u32 {
        u32::try_from(chunk.len().clamp(1, self.bytes_max)).unwrap_or(u32::MAX)
    }

    /// Hands a chunk over as soon as there is room for it.
    async fn send(&self, chunk: Bytes, patience: Duration) -> Result<(), HandOverError> {
        let room = Arc::clone(&self.bytes).acquire_many_owned(self.weight(&chunk));
        let room = tokio::select! {
            () = self.chunks.closed() => return Err(HandOverError::Gone),
            room = tokio::time::timeout(patience, room) => room.map_err(|_| HandOverError::Slow)?,
        };
        let waiting = QueuedChunk { chunk, _room: Some(room.map_err(|_closed| HandOverError::Gone)?) };
        self.chunks.send(waiting).map_err(|_| HandOverError::Gone)
    }

    /// Hands a chunk over where there is room for it at once.
    fn try_send(&self, chunk: Bytes) {
        if let Ok(room) = Arc::clone(&self.bytes).try_acquire_many_owned(self.weight(&chunk)) {
            let _gone = self.chunks.send(QueuedChunk { chunk, _room: Some(room) });
        }
    }

    /// Queues the event that ends the stream, also where the queue is full.
    fn end(&self, chunk: Bytes) {
        let _gone = self.chunks.send(QueuedChunk { chunk, _room: None });
    }
}

/// A stream that is counted as long as it is fed.
struct OpenStream(Gauge);

impl OpenStream {
    fn new(streams: &Gauge) -> Self {
        streams.inc();
        Self(streams.clone())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The comment that an idle stream sends.
pub(super) fn idle() -> Bytes {
    Bytes::from_static(b": idle\n\n")
}

/// The answer that a source feeds.
pub(super) fn answer(app: App, session: SessionCheck, source: impl ChunkSource) -> Response {
    let (room, taken) = ChunkQueue::new(WAITING_BYTES_MAX);
    let open = OpenStream::new(&app.metrics().streams);
    tokio::spawn(async move {
        feed(app, session, source, room).await;
        drop(open);
    });
    let body = Body::from_stream(
        futures::stream::unfold(taken, |mut taken| async move {
            let waiting = taken.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(waiting.chunk), taken))
        })
        .fuse(),
    );
    let head = [
        (header::CONTENT_TYPE, KIND),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies that buffer answers would delay events.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (head, body).into_response()
}

async fn feed(app: App, session: SessionCheck, source: impl ChunkSource, room: ChunkQueue) {
    let mut last_id = source.first_id();
    let reason = tokio::select! {
        biased;
        reason = session.ended(&app) => reason,
        () = app.closing() => "the server ends".to_owned(),
        () = room.chunks.closed() => return,
        slow = hand_over(source, &room, &mut last_id, PATIENCE) => match slow {
            Some(reason) => reason,
            None => return,
        },
    };
    room.end(sse_chunk(None, "end", &json!({ "reason": reason, "last_event_id": last_id })));
}

/// Hands over chunk by chunk and keeps the last id in `last_id`. Returns why the stream ends before its source does;
/// `None`: the source ended, or the reader is gone.
async fn hand_over(
    mut source: impl ChunkSource,
    room: &ChunkQueue,
    last_id: &mut String,
    patience: Duration,
) -> Option<String> {
    while let Some(chunk) = next(&mut source, room).await {
        let id = id_of(&chunk);
        match room.send(chunk, patience).await {
            Ok(()) => {
                if let Some(id) = id {
                    *last_id = id;
                }
            }
            Err(HandOverError::Gone) => return None,
            Err(HandOverError::Slow) => {
                return Some(format!("the reader took nothing for {} s", patience.as_secs()));
            }
        }
    }
    None
}

/// The source's next chunk. While it has none the stream sends comments, also where the source is busy with events that
/// the reader's filter leaves out.
async fn next(source: &mut impl ChunkSource, room: &ChunkQueue) -> Option<Bytes> {
    let mut next = source.next();
    loop {
        tokio::select! {
            chunk = &mut next => return chunk,
            // Where the queue is full the reader has enough to read.
            () = tokio::time::sleep(IDLE) => room.try_send(idle()),
        }
    }
}

/// The id of the last event of a chunk that has one.
fn id_of(chunk: &Bytes) -> Option<String> {
    let id = chunk.rsplit(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"id: "))?;
    Some(String::from_utf8_lossy(id).into_owned())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Events without end.
    struct EndlessEvents(u64);

    impl ChunkSource for EndlessEvents {
        fn next(&mut self) -> BoxFuture<'_, Option<Bytes>> {
            self.0 += 1;
            let next = if self.0.is_multiple_of(2) {
                idle()
            } else {
                sse_chunk(Some(&format!("e-{}", self.0)), "event", &json!({}))
            };
            async move { Some(next) }.boxed()
        }

        fn first_id(&self) -> String {
            "e-0".to_owned()
        }
    }

    #[tokio::test]
    async fn a_slow_reader_is_left_behind_with_the_place_to_go_on_from() {
        let one = sse_chunk(Some("e-1"), "event", &json!({}));
        let (room, mut taken) = ChunkQueue::new(2 * (one.len() + idle().len()));
        let mut last_id = EndlessEvents(0).first_id();
        let why = hand_over(EndlessEvents(0), &room, &mut last_id, Duration::from_millis(10)).await;
        assert_eq!(why.as_deref(), Some("the reader took nothing for 0 s"));
        // What was handed over ends with the event that is named, so that nothing is missed behind it.
        assert_eq!(last_id, "e-3");
        let mut seen = Vec::new();
        while let Ok(waiting) = taken.try_recv() {
            seen.extend(id_of(&waiting.chunk));
        }
        assert_eq!(seen, ["e-1", "e-3"]);
        let several =
            [sse_chunk(Some("e-4"), "line", &json!({})), sse_chunk(Some("e-5"), "line", &json!("id: x"))]
                .concat();
        assert_eq!(id_of(&Bytes::from(several)).as_deref(), Some("e-5"));
    }

    #[test]
    fn a_chunk_of_several_events_is_gone_on_from_behind_the_last() {
        let one = sse_chunk(Some("e-1"), "line", &json!("id: e-7"));
        let both =
            Bytes::from([&one[..], &sse_chunk(Some("e-2"), "line", &json!("b"))[..], &idle()[..]].concat());
        assert_eq!((id_of(&one).as_deref(), id_of(&both).as_deref()), (Some("e-1"), Some("e-2")));
        assert_eq!(id_of(&idle()), None);
    }

    /// A source that is busy for ever with events that its reader's filter leaves out.
    struct Unheard;

    impl ChunkSource for Unheard {
        fn next(&mut self) -> BoxFuture<'_, Option<Bytes>> {
            async {
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            .boxed()
        }

        fn first_id(&self) -> String {
            "e-0".to_owned()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_says_that_it_lives_also_where_all_that_happens_is_left_out() {
        let (room, mut taken) = ChunkQueue::new(1_000);
        let mut last_id = Unheard.first_id();
        let fed = hand_over(Unheard, &room, &mut last_id, PATIENCE);
        assert!(tokio::time::timeout(IDLE * 3 + Duration::from_secs(1), fed).await.is_err());
        drop(room);
        let mut signs = 0;
        while let Some(waiting) = taken.recv().await {
            assert_eq!(waiting.chunk, idle());
            signs += 1;
        }
        assert_eq!((signs, last_id.as_str()), (3, "e-0"));
    }

    #[tokio::test]
    async fn who_is_gone_is_not_waited_for() {
        let (room, taken) = ChunkQueue::new(1_000);
        drop(taken);
        let mut last_id = String::new();
        assert_eq!(hand_over(EndlessEvents(0), &room, &mut last_id, PATIENCE).await, None);
    }

    /// Large events without end.
    struct LargeEvents;

    impl ChunkSource for LargeEvents {
        fn next(&mut self) -> BoxFuture<'_, Option<Bytes>> {
            let chunk = sse_chunk(Some("e-1"), "event", &json!("x".repeat(60_000)));
            async move { Some(chunk) }.boxed()
        }

        fn first_id(&self) -> String {
            "e-0".to_owned()
        }
    }

    /// Once 64 chunks of any size were queued for each reader: 500 readers took 2.3 GB.
    #[tokio::test(start_paused = true)]
    async fn row_53_what_waits_for_a_reader_is_bounded_by_its_bytes_and_a_larger_chunk_waits_alone() {
        let (room, mut taken) = ChunkQueue::new(WAITING_BYTES_MAX);
        let mut last_id = String::new();
        assert!(hand_over(LargeEvents, &room, &mut last_id, PATIENCE).await.is_some());
        let mut bytes = 0;
        while let Ok(waiting) = taken.try_recv() {
            bytes += waiting.chunk.len();
        }
        assert!(bytes <= WAITING_BYTES_MAX && bytes > WAITING_BYTES_MAX / 2, "{bytes}");
        let huge = Bytes::from(vec![b'x'; 2 * WAITING_BYTES_MAX]);
        assert_eq!(room.send(huge.clone(), PATIENCE).await, Ok(()));
        assert_eq!(room.send(idle(), PATIENCE).await, Err(HandOverError::Slow));
        assert_eq!(taken.recv().await.map(|waiting| waiting.chunk.len()), Some(huge.len()));
        assert_eq!(room.send(idle(), PATIENCE).await, Ok(()));
    }
}

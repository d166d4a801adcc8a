//! Server-sent events: what all streams have in common.
//!
//! Law: no stream waits for a slow reader without a bound. A bounded number of bytes is queued for it, in the account of
//! its caller, and nothing else is kept for it meanwhile; when they have been queued too long the stream ends with an event
//! `end` that names the id to resume from. An idle stream sends a comment every [`IDLE`]. Every stream ends when the node closes, and when its caller's token or session ends.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::json;

use super::app::App;
use super::chunk_queue::{ChunkQueue, HandOverError};
use super::session_check::SessionCheck;
use super::stream_account::StreamAccount;
use crate::body::sse_chunk::sse_chunk;
use crate::fault::Fault;

/// The content type of streams.
pub(super) const KIND: &str = "text/event-stream";
/// How often an idle stream sends a comment.
pub(super) const IDLE: Duration = Duration::from_secs(15);
/// Bytes that are queued for a reader before nothing further is read for it.
const WAITING_BYTES_MAX: usize = 32 * 1024;
/// How long they may be queued. Shorter than the time after which the server closes a connection that takes nothing, so
/// that the event `end` reaches a reader that begins to read again.
const PATIENCE: Duration = Duration::from_secs(20);

/// What feeds a stream.
pub(super) trait ChunkSource: Send + 'static {
    /// The next chunk; `None` at the end.
    fn next(&mut self) -> BoxFuture<'_, Option<Bytes>>;

    /// The id from which a reader resumes that has taken nothing yet; asked before the first chunk.
    fn first_id(&self) -> String;

    /// Drops what was read and is not a chunk yet: the reader has enough for now. The next chunk is what it would have been.
    fn rest(&mut self);
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
///
/// # Errors
/// The readers of this caller, or of all, have left too much untaken.
pub(super) fn answer(
    app: App,
    session: SessionCheck,
    account: StreamAccount,
    source: impl ChunkSource,
) -> Result<Response, Fault> {
    account.may_begin()?;
    let (queue, taken) = ChunkQueue::new(WAITING_BYTES_MAX);
    let open = OpenStream::new(&app.metrics().streams);
    tokio::spawn(async move {
        feed(app, session, account, source, queue).await;
        drop(open);
    });
    let body = Body::from_stream(
        futures::stream::unfold(taken, |mut taken| async move {
            let chunk = taken.next().await?;
            Some((Ok::<_, std::convert::Infallible>(chunk), taken))
        })
        .fuse(),
    );
    let head = [
        (header::CONTENT_TYPE, KIND),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies that buffer answers would delay events.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((head, body).into_response())
}

async fn feed(
    app: App,
    session: SessionCheck,
    account: StreamAccount,
    source: impl ChunkSource,
    queue: ChunkQueue,
) {
    let mut last_id = source.first_id();
    let reason = tokio::select! {
        biased;
        reason = session.ended(&app) => reason,
        () = app.closing() => "the server ends".to_owned(),
        () = queue.closed() => return,
        reason = hand_over(source, &queue, &account, &mut last_id, PATIENCE) => match reason {
            Some(reason) => reason,
            None => return,
        },
    };
    // Small, and the last that is queued: it needs no room.
    let end = sse_chunk(None, "end", &json!({ "reason": reason, "last_event_id": last_id }));
    let _gone = queue.send(end);
}

/// Hands over chunk by chunk and keeps the last id in `last_id`. Returns why the stream ends before its source does;
/// `None`: the source ended, or the reader is gone.
async fn hand_over(
    mut source: impl ChunkSource,
    queue: &ChunkQueue,
    account: &StreamAccount,
    last_id: &mut String,
    patience: Duration,
) -> Option<String> {
    loop {
        if queue.is_full() {
            source.rest();
            match queue.half_taken(patience).await {
                Ok(()) => {}
                Err(HandOverError::Gone) => return None,
                Err(HandOverError::Slow) => {
                    return Some(format!("the reader took nothing for {} s", patience.as_secs()));
                }
            }
        }
        let chunk = next(&mut source, queue).await?;
        let id = id_of(&chunk);
        match account.reserved(chunk) {
            Ok(chunk) => queue.send(chunk).ok()?,
            Err(full) => return Some(full.waiting_answers()),
        }
        if let Some(id) = id {
            *last_id = id;
        }
    }
}

/// The source's next chunk. While it has none the stream sends comments, also where the source is busy with events that
/// the reader's filter leaves out.
async fn next(source: &mut impl ChunkSource, queue: &ChunkQueue) -> Option<Bytes> {
    let mut next = source.next();
    loop {
        tokio::select! {
            chunk = &mut next => return chunk,
            // Where the queue is full the reader has enough to read.
            () = tokio::time::sleep(IDLE) => if !queue.is_full() {
                let _gone = queue.send(idle());
            },
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use everfold_engine::actor::Actor;
    use futures::FutureExt as _;

    use super::super::byte_reservation::{ByteReservation, Reservations};
    use super::*;
    use crate::access::Caller;

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

        fn rest(&mut self) {}
    }

    fn account() -> StreamAccount {
        account_of(&Reservations::default(), "a")
    }

    fn account_of(reservations: &Reservations, name: &str) -> StreamAccount {
        StreamAccount::of(reservations, caller(name))
    }

    fn caller(name: &str) -> Caller {
        Caller { actor: Actor::Token(name.into()), local: false, ..Caller::local("") }
    }

    #[tokio::test]
    async fn a_slow_reader_is_left_behind_with_the_place_to_go_on_from() {
        let one = sse_chunk(Some("e-1"), "event", &json!({}));
        let (queue, mut taken) = ChunkQueue::new(2 * (one.len() + idle().len()));
        let mut last_id = EndlessEvents(0).first_id();
        let why =
            hand_over(EndlessEvents(0), &queue, &account(), &mut last_id, Duration::from_millis(10)).await;
        assert_eq!(why.as_deref(), Some("the reader took nothing for 0 s"));
        // What was handed over ends with the event that is named, so that nothing is missed behind it.
        assert_eq!(last_id, "e-3");
        let mut seen = Vec::new();
        while let Some(chunk) = taken.try_next() {
            seen.extend(id_of(&chunk));
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

        fn rest(&mut self) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_says_that_it_lives_also_where_all_that_happens_is_left_out() {
        let (queue, mut taken) = ChunkQueue::new(1_000);
        let (mut last_id, account) = (Unheard.first_id(), account());
        let fed = hand_over(Unheard, &queue, &account, &mut last_id, PATIENCE);
        assert!(tokio::time::timeout(IDLE * 3 + Duration::from_secs(1), fed).await.is_err());
        drop(queue);
        let mut signs = 0;
        while let Some(chunk) = taken.next().await {
            assert_eq!(chunk, idle());
            signs += 1;
        }
        assert_eq!((signs, last_id.as_str()), (3, "e-0"));
    }

    #[tokio::test]
    async fn who_is_gone_is_not_waited_for() {
        let (queue, taken) = ChunkQueue::new(1_000);
        drop(taken);
        let mut last_id = String::new();
        assert_eq!(hand_over(EndlessEvents(0), &queue, &account(), &mut last_id, PATIENCE).await, None);
    }

    /// Events of a size without end, read some at a time.
    struct ReadAhead {
        size: usize,
        number: u64,
        /// Events that are read and not asked for yet; all sources together.
        kept: Arc<AtomicUsize>,
        ready: usize,
    }

    impl Drop for ReadAhead {
        fn drop(&mut self) {
            self.rest();
        }
    }

    impl ReadAhead {
        const AT_ONCE: usize = 1_000;

        fn of(size: usize, kept: &Arc<AtomicUsize>) -> Self {
            Self { size, number: 0, kept: Arc::clone(kept), ready: 0 }
        }
    }

    impl ChunkSource for ReadAhead {
        fn next(&mut self) -> BoxFuture<'_, Option<Bytes>> {
            if self.ready == 0 {
                self.ready = Self::AT_ONCE;
                self.kept.fetch_add(self.ready, Ordering::Relaxed);
            }
            (self.ready, self.number) = (self.ready - 1, self.number + 1);
            self.kept.fetch_sub(1, Ordering::Relaxed);
            let chunk =
                sse_chunk(Some(&format!("e-{}", self.number)), "event", &json!("x".repeat(self.size)));
            async move { Some(chunk) }.boxed()
        }

        fn first_id(&self) -> String {
            "e-0".to_owned()
        }

        fn rest(&mut self) {
            self.kept.fetch_sub(std::mem::take(&mut self.ready), Ordering::Relaxed);
        }
    }

    /// 1,500 stalled streams of one token took 1.1 GB: each kept 1,024 events and 256 KiB, in no account.
    #[tokio::test(start_paused = true)]
    async fn what_waits_for_stalled_readers_is_in_the_account_of_their_caller_and_a_stream_beyond_it_ends() {
        let (reservations, kept) = (Reservations::default(), Arc::new(AtomicUsize::new(0)));
        let account = account_of(&reservations, "a");
        let (mut readers, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..3_000 {
            let (queue, taken) = ChunkQueue::new(WAITING_BYTES_MAX);
            let mut last_id = "e-0".to_owned();
            let source = ReadAhead::of(1_000, &kept);
            ends.extend(hand_over(source, &queue, &account, &mut last_id, Duration::ZERO).await);
            readers.push(taken);
        }
        assert_eq!(kept.load(Ordering::Relaxed), 0, "nothing is kept beside what is queued");
        let (_, own) = ByteReservation::in_use(&reservations.answers, &caller("a"));
        assert!((70 << 20..=80 << 20).contains(&own), "{own}");
        let full = ends.iter().filter(|why| why.contains("answers of 64 MiB wait for this caller")).count();
        let slow = ends.iter().filter(|why| why.contains("took nothing")).count();
        assert!(full > 0 && slow > 1_500 && full + slow == 3_000, "{full} {slow}");
        assert_eq!(account.may_begin().unwrap_err().retry_after, Some(Duration::from_secs(1)));
        assert!(account_of(&reservations, "b").may_begin().is_ok(), "streams of others begin");
        // What is taken is given back once it is written.
        let mut written = Vec::new();
        for reader in &mut readers {
            written.extend(std::iter::from_fn(|| reader.try_next()));
        }
        assert!(account.may_begin().is_err(), "the connections have it still");
        drop(written);
        assert_eq!(ByteReservation::in_use(&reservations.answers, &caller("a")), (0, 0));
        assert!(account.may_begin().is_ok());
    }

    /// Once 64 chunks of any size were queued for each reader: 500 readers took 2.3 GB.
    #[tokio::test(start_paused = true)]
    async fn row_53_what_waits_for_a_reader_is_bounded_by_its_bytes_but_for_the_last_chunk() {
        for size in [300, 10_000, 3 * WAITING_BYTES_MAX] {
            let (queue, mut taken) = ChunkQueue::new(WAITING_BYTES_MAX);
            let source = ReadAhead::of(size, &Arc::default());
            let mut last_id = String::new();
            assert!(hand_over(source, &queue, &account(), &mut last_id, PATIENCE).await.is_some());
            let chunks: Vec<usize> =
                std::iter::from_fn(|| taken.try_next()).map(|chunk| chunk.len()).collect();
            let (bytes, last) = (chunks.iter().sum::<usize>(), *chunks.last().unwrap());
            assert!(bytes >= WAITING_BYTES_MAX && bytes - last < WAITING_BYTES_MAX, "{size}: {bytes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_rested_goes_on_with_the_next_chunk() {
        let (queue, mut taken) = ChunkQueue::new(WAITING_BYTES_MAX);
        let (account, mut last_id) = (account(), String::new());
        let mut numbers = Vec::new();
        let source = ReadAhead::of(1_000, &Arc::default());
        let fed = hand_over(source, &queue, &account, &mut last_id, PATIENCE);
        let reading = async {
            while numbers.len() < 500 {
                numbers.extend(taken.next().await.as_ref().and_then(id_of));
            }
        };
        tokio::select! {
            _ = fed => panic!("it has no end"),
            () = reading => {}
        }
        let expected: Vec<String> = (1..=500).map(|number| format!("e-{number}")).collect();
        assert_eq!(numbers, expected);
    }
}

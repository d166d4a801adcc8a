//! Server-sent events: what all streams have in common.
//!
//! Law: a reader who is slow is left behind, never waited for: a bounded number of chunks waits for
//! it; when they have waited too long the stream ends with an event that says where to go on. An idle
//! stream says now and then that it lives. Every stream ends when the owner does, and when its reader is
//! not let in any more.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures::future::BoxFuture;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::App;
use super::standing::Standing;

/// What streams are.
pub(super) const KIND: &str = "text/event-stream";
/// How often an idle stream says that it lives.
pub(super) const IDLE: Duration = Duration::from_secs(15);
/// Chunks that wait for a reader.
const WAITING_MAX: usize = 64;
/// How long they may wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// What feeds a stream.
pub(super) trait Source: Send + 'static {
    /// The next chunk; `None` at the end.
    fn next(&mut self) -> BoxFuture<'_, Option<Bytes>>;

    /// Where a reader goes on who has taken nothing yet; asked before the first chunk.
    fn first_id(&self) -> String;
}

/// A stream that is counted as long as it is fed.
struct Open(Gauge);

impl Open {
    fn new(streams: &Gauge) -> Self {
        streams.inc();
        Self(streams.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One event.
pub(super) fn event(id: Option<&str>, name: &str, data: &Value) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n"))
}

/// The sign of life.
pub(super) fn idle() -> Bytes {
    Bytes::from_static(b": idle\n\n")
}

/// The answer that a source feeds.
pub(super) fn answer(app: App, standing: Standing, source: impl Source) -> Response {
    let (chunks, taken) = mpsc::channel(WAITING_MAX);
    let open = Open::new(&app.metrics().streams);
    tokio::spawn(async move {
        feed(app, standing, source, chunks).await;
        drop(open);
    });
    let body = Body::from_stream(futures::stream::unfold(taken, |mut taken| async move {
        let chunk: Bytes = taken.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), taken))
    }));
    let head = [
        (header::CONTENT_TYPE, KIND),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies that gather answers would hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (head, body).into_response()
}

async fn feed(app: App, standing: Standing, source: impl Source, chunks: mpsc::Sender<Bytes>) {
    // Room for the last word is kept from the start.
    let Ok(last_word) = chunks.clone().reserve_owned().await else { return };
    let mut last_id = source.first_id();
    let reason = tokio::select! {
        biased;
        reason = standing.over(&app) => reason,
        () = app.closing() => "the server ends".to_owned(),
        () = chunks.closed() => return,
        slow = hand_over(source, &chunks, &mut last_id, PATIENCE) => match slow {
            Some(reason) => reason,
            None => return,
        },
    };
    let _gone = last_word.send(event(None, "end", &json!({ "reason": reason, "last_event_id": last_id })));
}

/// Hands over chunk by chunk and keeps the id of the last one that has one; says why it ends before the source does.
async fn hand_over(
    mut source: impl Source,
    chunks: &mpsc::Sender<Bytes>,
    last_id: &mut String,
    patience: Duration,
) -> Option<String> {
    while let Some(chunk) = next(&mut source, chunks).await {
        let id = id_of(&chunk);
        match chunks.send_timeout(chunk, patience).await {
            Ok(()) => {
                if let Some(id) = id {
                    *last_id = id;
                }
            }
            Err(mpsc::error::SendTimeoutError::Closed(_)) => return None,
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                return Some(format!("the reader took nothing for {} s", patience.as_secs()));
            }
        }
    }
    None
}

/// The source's next chunk; while it has none the reader hears that the stream lives, also where the source is
/// busy with what the reader does not want to hear.
async fn next(source: &mut impl Source, chunks: &mpsc::Sender<Bytes>) -> Option<Bytes> {
    let mut next = source.next();
    loop {
        tokio::select! {
            chunk = &mut next => return chunk,
            // Where no room is left the reader has signs of life enough.
            () = tokio::time::sleep(IDLE) => drop(chunks.try_send(idle())),
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
    struct Numbers(u64);

    impl Source for Numbers {
        fn next(&mut self) -> BoxFuture<'_, Option<Bytes>> {
            self.0 += 1;
            let next = if self.0.is_multiple_of(2) {
                idle()
            } else {
                event(Some(&format!("e-{}", self.0)), "event", &json!({}))
            };
            async move { Some(next) }.boxed()
        }

        fn first_id(&self) -> String {
            "e-0".to_owned()
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_is_left_behind_and_told_where_to_go_on() {
        let (chunks, mut taken) = mpsc::channel(4);
        let mut last_id = Numbers(0).first_id();
        let why = hand_over(Numbers(0), &chunks, &mut last_id, Duration::from_millis(10)).await;
        assert_eq!(why.as_deref(), Some("the reader took nothing for 0 s"));
        // What was handed over ends with the event that is named, so that nothing is missed behind it.
        assert_eq!(last_id, "e-3");
        let mut seen = Vec::new();
        while let Ok(chunk) = taken.try_recv() {
            seen.extend(id_of(&chunk));
        }
        assert_eq!(seen, ["e-1", "e-3"]);
        let several =
            [event(Some("e-4"), "line", &json!({})), event(Some("e-5"), "line", &json!("id: x"))].concat();
        assert_eq!(id_of(&Bytes::from(several)).as_deref(), Some("e-5"));
    }

    #[test]
    fn a_chunk_of_several_events_is_gone_on_from_behind_the_last() {
        let one = event(Some("e-1"), "line", &json!("id: e-7"));
        let both =
            Bytes::from([&one[..], &event(Some("e-2"), "line", &json!("b"))[..], &idle()[..]].concat());
        assert_eq!((id_of(&one).as_deref(), id_of(&both).as_deref()), (Some("e-1"), Some("e-2")));
        assert_eq!(id_of(&idle()), None);
    }

    /// Busy for ever with what nobody wants to hear.
    struct Busy;

    impl Source for Busy {
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
        let (chunks, mut taken) = mpsc::channel(4);
        let mut last_id = Busy.first_id();
        let fed = hand_over(Busy, &chunks, &mut last_id, PATIENCE);
        assert!(tokio::time::timeout(IDLE * 3 + Duration::from_secs(1), fed).await.is_err());
        drop(chunks);
        let mut signs = 0;
        while let Some(chunk) = taken.recv().await {
            assert_eq!(chunk, idle());
            signs += 1;
        }
        assert_eq!((signs, last_id.as_str()), (3, "e-0"));
    }

    #[tokio::test]
    async fn who_is_gone_is_not_waited_for() {
        let (chunks, taken) = mpsc::channel(4);
        drop(taken);
        let mut last_id = String::new();
        assert_eq!(hand_over(Numbers(0), &chunks, &mut last_id, PATIENCE).await, None);
    }
}

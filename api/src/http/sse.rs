//! Server-sent events: what all streams have in common.
//!
//! Law: a reader who is slow is left behind, never waited for: a bounded number of chunks waits for
//! it; when they have waited too long the stream ends with an event that says where to go on. An idle
//! stream says now and then that it lives. Every stream ends when the owner does.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::App;

/// How often an idle stream says that it lives.
pub(super) const IDLE: Duration = Duration::from_secs(15);
/// Chunks that wait for a reader.
const WAITING_MAX: usize = 64;
/// How long they may wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// What feeds a stream.
pub(super) trait Source: Send + 'static {
    /// The next chunk; `None` at the end. Resolves at the latest after [`IDLE`], then with [`idle`].
    fn next(&mut self) -> BoxFuture<'_, Option<Bytes>>;

    /// Where a reader goes on who has taken everything so far.
    fn last_id(&self) -> String;
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
pub(super) fn answer(app: App, source: impl Source) -> Response {
    let (chunks, taken) = mpsc::channel(WAITING_MAX);
    tokio::spawn(feed(app, source, chunks));
    let body = Body::from_stream(futures::stream::unfold(taken, |mut taken| async move {
        let chunk: Bytes = taken.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), taken))
    }));
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies that gather answers would hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (head, body).into_response()
}

async fn feed(app: App, mut source: impl Source, chunks: mpsc::Sender<Bytes>) {
    // Room for the last word is kept from the start.
    let Ok(last_word) = chunks.clone().reserve_owned().await else { return };
    loop {
        let chunk = tokio::select! {
            chunk = source.next() => chunk,
            () = app.closing() => {
                let end = json!({ "reason": "the server ends", "last_event_id": source.last_id() });
                let _gone = last_word.send(event(None, "end", &end));
                return;
            }
            () = chunks.closed() => return,
        };
        let Some(chunk) = chunk else { return };
        match chunks.send_timeout(chunk, PATIENCE).await {
            Ok(()) => {}
            Err(mpsc::error::SendTimeoutError::Closed(_)) => return,
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                let why = format!("the reader took nothing for {} s", PATIENCE.as_secs());
                let _gone =
                    last_word.send(event(None, "end", &json!({ "reason": why, "last_event_id": null })));
                return;
            }
        }
    }
}

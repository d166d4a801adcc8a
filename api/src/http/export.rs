//! The export of events as lines of JSON, of a run or of the whole log.
//!
//! Law: only one piece is in memory at once, however long the history: the next is read when the reader has taken the
//! last. A line holds what its hash is made of: the header, and in `raw` the stored bytes; `event` is the same for
//! people. When the caller's token or session ends, the connection breaks off, so that a part does not look like the
//! whole.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::id::{Position, Version};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::accepted::NDJSON;
use super::app::App;
use super::extract::Params;
use super::session_check::SessionCheck;
use crate::body::event::event_body;
use crate::fault::Fault;
use axum::extract::State;
use serde::Deserialize;

/// Events read at once.
const CHUNK: usize = 32;

/// The events of a run from a version on.
pub(super) fn of_run(app: App, session: SessionCheck, stream: StreamId, from: Version) -> Response {
    let of = app.clone();
    let read = move |from: Version| {
        let (app, stream) = (app.clone(), stream.clone());
        async move {
            let events = app.store().read(&stream, from, CHUNK).await.map_err(io::Error::other)?;
            let next = events.last().map(|event| event.header.version.next());
            Ok::<_, io::Error>((events.iter().map(line).collect::<Vec<_>>(), next))
        }
    };
    lines(of, session, from, read)
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ExportParams {
    /// The position to begin at.
    from: Option<u64>,
}

/// `GET /events`: every event of every stream in the order of the log, up to where the log ends now, in lines of JSON.
#[utoipa::path(
    get,
    path = "/events",
    tag = "history",
    params(ExportParams),
    responses((
        status = 200,
        description = "An event a line: its header, `raw` (the stored bytes in base64), and `event` for readers; \
                       null where it is of no run.",
        body = String,
        content_type = "application/x-ndjson"
    ))
)]
pub(crate) async fn all(
    State(app): State<App>,
    Params(params): Params<ExportParams>,
    session: SessionCheck,
) -> Result<Response, Fault> {
    let (of, end) = (app.clone(), app.store().last_position());
    let read = move |from: Position| {
        let app = app.clone();
        async move {
            if from > end {
                return Ok((Vec::new(), None));
            }
            let events: Vec<Arc<Envelope>> =
                app.store().read_all(from, CHUNK).await.map_err(io::Error::other)?;
            let next = events.last().map(|event| event.position.next());
            let until_end = events.iter().filter(|event| event.position <= end);
            Ok::<_, io::Error>((until_end.map(|event| line(event)).collect::<Vec<_>>(), next))
        }
    };
    Ok(lines(of, session, Position(params.from.unwrap_or(1).max(1)), read))
}

/// An answer whose pieces are read one by one.
fn lines<At, Read, Reading>(app: App, session: SessionCheck, from: At, read: Read) -> Response
where
    At: Send + 'static,
    Read: Fn(At) -> Reading + Send + 'static,
    Reading: Future<Output = io::Result<(Vec<Bytes>, Option<At>)>> + Send,
{
    let reader = Arc::new((app, session));
    let pieces = stream::unfold((Some(from), read), move |(at, read)| {
        let reader = Arc::clone(&reader);
        async move {
            let (app, session) = &*reader;
            let piece = tokio::select! {
                biased;
                why = session.ended(app) => Err(io::Error::new(io::ErrorKind::PermissionDenied, why)),
                piece = read(at?) => piece,
            };
            match piece {
                Ok((lines, _)) if lines.is_empty() => None,
                Ok((lines, next)) => Some((Ok(lines), (next, read))),
                Err(error) => Some((Err(error), (None, read))),
            }
        }
    });
    let lines = pieces.flat_map(|piece| {
        let lines: VecDeque<io::Result<Bytes>> = match piece {
            Ok(lines) => lines.into_iter().map(Ok).collect(),
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::PermissionDenied => tracing::info!(%error, "an export is cut"),
                    _other => tracing::error!(%error, "an export ends before its end"),
                }
                VecDeque::from([Err(error)])
            }
        };
        stream::iter(lines)
    });
    // The compressor polls once more behind the end, and an unfold must not be polled then.
    let head = [(header::CONTENT_TYPE, NDJSON), (header::CACHE_CONTROL, "no-store")];
    (head, Body::from_stream(lines.fuse())).into_response()
}

fn line(event: &Envelope) -> Bytes {
    let mut line = event_body(event);
    line["stream"] = json!(event.header.stream);
    line["payload_hash"] = json!(event.header.payload_hash);
    line["raw"] = json!(STANDARD.encode(&event.payload));
    if event.header.stream.as_run().is_none() {
        line["event"] = Value::Null;
    }
    Bytes::from(format!("{line}\n"))
}

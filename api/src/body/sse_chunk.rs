//! One server-sent event as the bytes of a stream.

use axum::body::Bytes;
use serde_json::Value;

/// One event, with its id where a reader may go on behind it.
pub(crate) fn sse_chunk(id: Option<&str>, name: &str, data: &Value) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n"))
}

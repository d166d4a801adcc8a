//! Whether the log of an attempt that has ended is what was written.

use axum::body::Body;
use axum::http::{HeaderValue, Method, header};
use futures::StreamExt as _;
use serde::Deserialize;

use super::log_lines::AnswerLines;
use super::log_place::AttemptFact;
use crate::frame::Visit;
use crate::problem::Problem;

/// What REST says at the end of a log.
#[derive(Debug, Deserialize)]
struct LogEnd {
    damage: Option<String>,
}

/// In which way a log is not what was written; nothing where it is, and where nothing is recorded of it.
///
/// # Errors
/// The log could not be compared.
pub(crate) async fn damage(
    visit: &Visit,
    run: &str,
    attempt: &AttemptFact,
) -> Result<Option<String>, Problem> {
    if attempt.end.as_ref().is_none_or(|end| end.log.is_none()) {
        return Ok(None);
    }
    let path = attempt.rest_path(run, "tail=0&verify=true");
    let mut request = visit.rest.request(Method::GET, &path, Body::empty())?;
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    let response = visit.rest.send(request).await;
    if !response.status().is_success() {
        return Err(crate::rest::problem_of(response).await);
    }
    let mut pieces = response.into_body().into_data_stream();
    let (mut lines, mut is_over) = (AnswerLines::default(), false);
    while let Some(piece) = pieces.next().await {
        lines.add(&piece.map_err(|error| Problem::within(format!("the log broke off: {error}")))?)?;
        while let Some(line) = lines.next() {
            is_over |= line == b"event: over";
            if let Some(data) = line.strip_prefix(b"data: ").filter(|_| is_over) {
                let end: LogEnd = serde_json::from_slice(data).map_err(|error| {
                    Problem::within(format!("the end of the log is not readable: {error}"))
                })?;
                return Ok(end.damage);
            }
        }
    }
    Err(Problem::within("the log ended without saying whether it is what was written"))
}

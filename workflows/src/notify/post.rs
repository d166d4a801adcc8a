//! What goes out as JSON in a `POST`, and what is made of the answer.

use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use everfold_system::clock;
use hyper::Method;
use serde_json::json;

use crate::function::Call;
use crate::http::{HttpAnswer, HttpError, HttpRequest};

/// One request.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// A body that is JSON.
pub(super) fn request(url: impl Into<String>, body: Vec<u8>) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        headers: [("Content-Type".to_owned(), "application/json".to_owned())].into(),
        body: Some(body),
        timeout: TIMEOUT,
        body_bytes_max: ANSWER_BYTES_MAX,
        ..HttpRequest::get(url)
    }
}

/// Whether `who` took it. One that answers with one of `refusals` once will do so again; others are asked again,
/// after the pause that they wish.
pub(super) fn taken(answer: &HttpAnswer, call: &Call, who: &str, refusals: &[u16]) -> Result<Value, Failure> {
    if (200..300).contains(&answer.status) {
        return Ok(json!({ "status": answer.status }));
    }
    if let Some(pause) = answer.retry_after(clock::now()) {
        call.ask_later(pause);
    }
    let is_refused = refusals.contains(&answer.status);
    let kind = if is_refused { FailureKind::Validation } else { FailureKind::Error };
    let sent_on = match (answer.status, answer.headers.get("location")) {
        (300..=399, Some(place)) => {
            format!(" and names {place}, where notices are not sent by themselves: name it")
        }
        _answered => String::new(),
    };
    let message = format!("{who} answered {}{sent_on}", answer.status);
    Err(Failure::new(kind, message).with_detail(answer.shown()))
}

/// The failure of a request that got no answer.
pub(super) fn unreached(error: HttpError) -> Failure {
    match error {
        HttpError::Invalid(message) => Failure::new(FailureKind::Validation, message),
        other => Failure::new(FailureKind::Error, other.to_string()),
    }
}

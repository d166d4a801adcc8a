//! Reading answers: whole documents, and the faults that problem documents tell.

use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use everfold_engine::json::{DEPTH_MAX, JsonText};
use everfold_workflows::http::{BodyError, read_body};
use serde::de::DeserializeOwned;

use crate::fault::{Code, Fault, ProblemDocument};

/// The largest answer that is read as one document.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest silence within an answer.
const SILENCE: Duration = Duration::from_secs(60);

/// Reads an answer as one document.
pub(crate) async fn document<T: DeserializeOwned>(response: Response<Body>) -> Result<T, Fault> {
    if !response.status().is_success() {
        return Err(failed(response).await);
    }
    let bytes = bytes(response.into_body()).await?;
    parse(&bytes)
}

/// The document that a whole answer holds.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes)
        .or_else(|error| match JsonText::read(bytes) {
            // It may hold a value that was stored before there was a limit to how deep one is nested.
            Ok(text) if text.depth() > DEPTH_MAX => serde_json::from_value(text.value()),
            _malformed => Err(error),
        })
        .map_err(|error| Fault::new(Code::Internal, format!("the owner's answer cannot be read: {error}")))
}

/// An answer that is not whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokenAnswer {
    /// The other end is gone, or silent for too long.
    #[error("the answer broke off: {0}")]
    Off(String),
    /// It would be the same again.
    #[error("the answer is larger than {} MiB; ask for less of it", ANSWER_BYTES_MAX / 1024 / 1024)]
    TooLarge,
}

impl From<BrokenAnswer> for Fault {
    fn from(broken: BrokenAnswer) -> Self {
        let code = match broken {
            BrokenAnswer::Off(_) => Code::NoAnswer,
            BrokenAnswer::TooLarge => Code::TooLarge,
        };
        Self::new(code, broken.to_string())
    }
}

/// The whole body.
pub(super) async fn bytes(body: Body) -> Result<Vec<u8>, BrokenAnswer> {
    let read = read_body(body, ANSWER_BYTES_MAX, SILENCE).await.map_err(|error| match error {
        BodyError::Silent(span) => BrokenAnswer::Off(format!("nothing came for {} s", span.as_secs())),
        BodyError::Broken(error) => BrokenAnswer::Off(crate::fault::chain(&error)),
    })?;
    if read.is_truncated { Err(BrokenAnswer::TooLarge) } else { Ok(read.bytes) }
}

/// The fault that an answer tells.
pub(super) async fn failed(response: Response<Body>) -> Fault {
    let (status, wait) = (response.status(), retry_after(&response));
    let fault = bytes(response.into_body()).await.ok().and_then(|bytes| fault_in(&bytes));
    let fault = fault.unwrap_or_else(|| Fault::new(Code::Internal, format!("the owner answered {status}")));
    Fault { retry_after: wait, ..fault }
}

/// The fault that the body of an answer tells, where it is a problem document.
pub(super) fn fault_in(body: &[u8]) -> Option<Fault> {
    serde_json::from_slice::<ProblemDocument>(body).ok().map(Fault::from)
}

/// When the next request is welcome. A number that is larger than any is the largest: the client's own limit bounds the wait.
pub(super) fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds = response.headers().get(axum::http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(seconds.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next request was sent at once.
    #[test]
    fn a_wait_that_is_longer_than_any_number_is_the_longest() {
        let wait = |said: &str| {
            let answer = Response::builder().header("retry-after", said).body(Body::empty()).unwrap();
            retry_after(&answer)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!((wait("soon"), wait("-1"), wait("")), (None, None, None));
    }

    #[test]
    fn row_50_an_answer_is_read_that_holds_a_value_of_any_depth_that_is_stored() {
        let answer =
            |levels: usize| format!(r#"{{"items": [{}1{}]}}"#, "[".repeat(levels), "]".repeat(levels));
        for levels in [1, 130, 225] {
            let read: serde_json::Value = parse(answer(levels).as_bytes()).unwrap();
            assert_eq!(everfold_engine::json::depth(&read), levels + 2);
        }
        assert!(parse::<serde_json::Value>(answer(200).trim_end_matches('}').as_bytes()).is_err());
        assert!(parse::<u8>(answer(200).as_bytes()).is_err());
    }
}

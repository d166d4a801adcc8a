//! A request, its answer, and why there is none.

use std::collections::BTreeMap;
use std::time::Duration;

use everfold_base::time::Timestamp;
use hyper::Method;

use crate::byte_order_mark::behind_mark;

/// The longest pause that is taken from a server.
const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);

/// A request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// `GET`, `POST`, ….
    pub method: Method,
    /// `http://` or `https://`.
    pub url: String,
    /// Beside `Host`, `User-Agent` and `Content-Length`.
    pub headers: BTreeMap<String, String>,
    /// What is sent.
    pub body: Option<Vec<u8>>,
    /// From looking the name up to the last byte of the body.
    pub timeout: Duration,
    /// More of the answer's body is not read.
    pub body_bytes_max: usize,
}

impl HttpRequest {
    /// A `GET` within 30 seconds that reads up to 1 MiB.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            url: url.into(),
            headers: BTreeMap::new(),
            body: None,
            timeout: Duration::from_secs(30),
            body_bytes_max: 1024 * 1024,
        }
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// By name in lower case; repeated ones joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// There was more than was to be read.
    pub truncated: bool,
    /// Where it came from, after redirects, without a name and password.
    pub url: String,
}

impl HttpAnswer {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is none, or was cut.
    pub fn json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::from_slice(behind_mark(&self.body))
    }

    /// The pause that the server asks for: `Retry-After`, in seconds or as a date; whole seconds, and an hour at most.
    #[must_use]
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let said = self.headers.get("retry-after")?.trim();
        if let Some(seconds) = whole_number(said) {
            return Some(Duration::from_secs(seconds).min(PAUSE_MAX));
        }
        let at = jiff::fmt::rfc2822::parse(said).ok()?.timestamp().as_millisecond();
        let ms = Timestamp(at).since(now).min(PAUSE_MAX).as_millis();
        Some(Duration::from_secs(u64::try_from(ms.div_ceil(1_000)).ok()?))
    }

    /// The pause after which a limit is lifted: `Retry-After`, else the time in `X-RateLimit-Reset` or `RateLimit-Reset`, in
    /// seconds since 1970.
    #[must_use]
    pub fn limited_for(&self, now: Timestamp) -> Option<Duration> {
        if let Some(pause) = self.retry_after(now) {
            return Some(pause);
        }
        let number = |name: &str| whole_number(self.headers.get(name)?.trim());
        let reset = number("x-ratelimit-reset").or_else(|| number("ratelimit-reset"))?;
        let now_s = u64::try_from(now.0 / 1_000).ok()?;
        Some(Duration::from_secs(reset.saturating_sub(now_s)).min(PAUSE_MAX))
    }

    /// The body as text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as text, with a mark where the rest of it was cut.
    pub(crate) fn shown(&self) -> String {
        let mut text = self.text();
        text.extend(self.truncated.then_some('…'));
        text
    }
}

/// A number that is written in digits; one that is larger than any is the largest.
fn whole_number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// There is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The request makes no sense; asking again cannot help.
    #[error("{0}")]
    Invalid(String),
    /// Nothing was sent: no such host, a refused connection, a certificate that is not trusted.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// The host and port.
        host: String,
        /// What happened.
        reason: String,
    },
    /// The request may have arrived; there is no whole answer.
    #[error("{host} did not answer: {reason}")]
    NoAnswer {
        /// The host and port.
        host: String,
        /// What happened.
        reason: String,
    },
}

impl HttpError {
    /// Whether the other side may have seen the request.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        matches!(self, Self::NoAnswer { .. })
    }
}

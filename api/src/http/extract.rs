//! Extractors of requests: JSON bodies, raw bodies, parameters of query and path, idempotency keys.
//!
//! Law: a request that cannot be read is answered with problem+json, never with axum's own text. No body is waited for
//! or kept without a bound.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use everfold_engine::id::InputId;
use everfold_engine::json::{Hash, strict};
use everfold_engine::store::{Dedup, DedupKeep};
use http_body_util::{BodyExt as _, LengthLimitError};
use hyper::body::Body as _;
use serde::de::DeserializeOwned;

use everfold_engine::definition::similar;

use super::app::BODY_BYTES_MAX;
use super::byte_reservation::{ByteReservation, Full, Reservations};
use crate::access::Caller;
use crate::fault::{Code, Fault};
use crate::node::Idempotency;

/// A JSON body, and its canonical bytes. An empty body is an empty object.
pub(crate) struct JsonBody<T> {
    pub(crate) value: T,
    pub(crate) bytes: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        is_json(request.headers())?;
        let Raw(bytes) = Raw::from_request(request, state).await?;
        let text: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &bytes };
        if text.trim_ascii_start().first() != Some(&b'{') {
            // serde would read a list as the fields in their order.
            let read = serde_json::from_slice::<serde::de::IgnoredAny>(text);
            return Err(match read {
                Ok(_) => Fault::new(Code::Invalid, "the body is no JSON object"),
                Err(error) => Fault::new(Code::Unreadable, format!("the body: {error}")),
            });
        }
        // Before the fields are read: else the message about a repeated field would speak of a wrong value.
        let bytes = strict::canonical(text)
            .map_err(|error| Fault::new(Code::Unreadable, format!("the body: {error}")))?
            .into();
        let value = serde_json::from_slice(text).map_err(|error| {
            let code = if error.is_data() { Code::Invalid } else { Code::Unreadable };
            let message = error.to_string();
            Fault::new(code, format!("the body: {message}")).hinted(nearest(&message))
        })?;
        Ok(Self { value, bytes })
    }
}

/// The parameters of the query string.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        if !is_text(parts.uri.query().unwrap_or_default()) {
            return Err(Fault::new(Code::Unreadable, "the query: invalid UTF-8"));
        }
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                Err(Fault::new(Code::Invalid, format!("the query: {text}")).hinted(nearest(text)))
            }
        }
    }
}

/// Whether the escaped bytes of a query are UTF-8: the reader of queries would replace others without a fault.
fn is_text(query: &str) -> bool {
    let (mut bytes, mut rest) = (Vec::with_capacity(query.len()), query.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let escaped =
            after.get(..2).filter(|_| *first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        match escaped.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &after[2..]),
            None => (bytes.push(*first), rest = after),
        };
    }
    String::from_utf8(bytes).is_ok()
}

/// The parameters of the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(found)) => Ok(Self(found)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.strip_prefix("Invalid URL: ").unwrap_or(&text);
                Err(Fault::new(Code::Unreadable, format!("the path: {text}")))
            }
        }
    }
}

/// The bytes of a body, of any type.
pub(crate) struct Raw(pub(crate) Bytes);

/// How long a body may take; the server puts it into the extensions of requests over TCP.
#[derive(Debug, Clone, Copy)]
pub struct BodyWithin(pub Duration);

/// How large a body may be where 4 MiB are too much; in the extensions of requests.
#[derive(Debug, Clone, Copy)]
pub struct BodyMax(pub usize);

/// The largest body of requests without an own [`BodyMax`].
const BODY_MAX: BodyMax = BodyMax(BODY_BYTES_MAX);

/// How long the body of requests without an own [`BodyWithin`] may take.
const BODY_WITHIN: BodyWithin = BodyWithin(Duration::from_secs(30));

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Fault;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Fault> {
        is_plain(request.headers())?;
        let BodyWithin(within) = request.extensions().get().copied().unwrap_or(BODY_WITHIN);
        let BodyMax(max) = request.extensions().get().copied().unwrap_or(BODY_MAX);
        let declared = request.body().size_hint().lower();
        let awaits_word = request.headers().contains_key(header::EXPECT);
        if declared > max as u64 && (awaits_word || declared > DROPPED_BYTES_MAX) {
            return Err(too_large(max));
        }
        let caller = request.extensions().get::<Caller>();
        let room = request.extensions().get::<Reservations>().map(|rooms| rooms.bodies.room(caller));
        // Its limit is kept here: the rest of one that is too large is read, too.
        let mut body = request.into_body();
        if declared > max as u64 {
            return Err(dropped(&mut body, within, too_large(max)).await);
        }
        let read = tokio::time::timeout(within, taken_in(&mut body, max, room)).await;
        let late = |_| {
            let seconds = within.as_secs();
            Fault::new(Code::TooSlow, format!("the body had not come after {seconds} s"))
        };
        match read.map_err(late)? {
            Ok(bytes) => Ok(Self(bytes)),
            Err(BodyNotRead::NoRoom(full)) => Err(dropped(&mut body, within, full.of_bodies()).await),
            Err(BodyNotRead::TooLarge) => Err(dropped(&mut body, within, too_large(max)).await),
            Err(BodyNotRead::Broken(error)) => {
                Err(Fault::new(Code::Unreadable, format!("the body: {error}")))
            }
        }
    }
}

/// How long the rest of a body is read and dropped where there is no room for it, or it is too large.
const REST_WITHIN: Duration = Duration::from_secs(5);

/// The largest body that is: one that says beforehand that it is larger is refused at once.
const DROPPED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The fault of a body whose rest is read and dropped: a client that is still sending would not read the answer.
async fn dropped(body: &mut axum::body::Body, within: Duration, fault: Fault) -> Fault {
    let rest = async {
        let mut left = DROPPED_BYTES_MAX;
        while left > 0
            && let Some(Ok(frame)) = body.frame().await
        {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len) as u64);
        }
    };
    let _sent = tokio::time::timeout(REST_WITHIN.min(within), rest).await;
    fault
}

/// Why a body was not read.
enum BodyNotRead {
    NoRoom(Full),
    TooLarge,
    Broken(axum::Error),
}

fn too_large(max: usize) -> Fault {
    Fault::new(Code::TooLarge, format!("the body is over the limit of {} MiB", max / 1024 / 1024))
        .hint("send less: keep what is large in a file, and name that")
}

/// Reads a body of at most `max` bytes; room for a part is reserved before the next part is read.
async fn taken_in(
    body: &mut axum::body::Body,
    max: usize,
    mut room: Option<ByteReservation>,
) -> Result<Bytes, BodyNotRead> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match is_over_limit(&error) {
            true => BodyNotRead::TooLarge,
            false => BodyNotRead::Broken(error),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > max {
            return Err(BodyNotRead::TooLarge);
        }
        if let Some(room) = &mut room {
            room.grow(data.len()).map_err(BodyNotRead::NoRoom)?;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(match room {
        Some(room) => room.over(bytes),
        None => bytes.into(),
    })
}

/// Whether the limit for strangers ended it, which is nearer.
fn is_over_limit(error: &axum::Error) -> bool {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.any(|error| error.is::<LengthLimitError>())
}

/// Refuses a compressed body.
fn is_plain(headers: &HeaderMap) -> Result<(), Fault> {
    let given = headers.get(header::CONTENT_ENCODING).map(|given| given.to_str().unwrap_or_default().trim());
    match given {
        None | Some("" | "identity") => Ok(()),
        Some(given) => Err(Fault::new(
            Code::WrongType,
            format!("the body is compressed (“{given}”), and bodies are read as they come"),
        )
        .hint("send it as it is, without `Content-Encoding`")),
    }
}

/// Refuses a body whose `Content-Type` is another one than JSON.
fn is_json(headers: &HeaderMap) -> Result<(), Fault> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let given = given.to_str().unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    Err(Fault::new(Code::WrongType, format!("the body is “{given}”, and this route reads application/json"))
        .hint("send `Content-Type: application/json`"))
}

/// “did you mean …?”, where a message of serde names an unknown word and the known ones.
fn nearest(message: &str) -> Option<String> {
    let (said, known) = message.split_once(", expected ")?;
    let word = said.split('`').nth(1).filter(|_| said.contains("unknown "))?;
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    similar(word, known.into_iter()).map(|near| format!("did you mean “{near}”?"))
}

/// The longest idempotency key.
const KEY_BYTES_MAX: usize = 256;

/// Reads the idempotency key of a write.
pub(crate) fn once(
    headers: &HeaderMap,
    caller: &Caller,
    route: &str,
    body: &[u8],
    keep: DedupKeep,
) -> Result<Idempotency, Fault> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return Ok(Idempotency {
            dedup: None,
            input: InputId(everfold_engine::clock::draw_u128().to_be_bytes()),
        });
    };
    let is_key = |key: &&str| {
        let is_shown = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        key.len() <= KEY_BYTES_MAX && !key.is_empty() && key.trim() == *key && key.bytes().all(is_shown)
    };
    if keys.next().is_some() {
        return Err(Fault::new(Code::Invalid, "there are several Idempotency-Key headers").hint("send one"));
    }
    let key = key.to_str().ok().filter(is_key).ok_or_else(bad_key)?;
    let about = format!("{}\n{route}\n{key}", caller.actor);
    let dedup = Dedup { key: Hash::of(about.as_bytes()), body: Hash::of(body), keep };
    Ok(Idempotency { dedup: Some(dedup), input: InputId::derive(&about) })
}

/// A text that cannot be a key.
pub(super) fn bad_key() -> Fault {
    let what =
        "Idempotency-Key is a text of 1 to 256 visible ASCII characters, with spaces only between them";
    Fault::new(Code::Invalid, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_in_a_query_has_to_be_text() {
        for good in ["", "q=a%20b", "q=%C3%BC&x=%", "q=%zz", "q=%+1", "q=ü"] {
            assert!(is_text(good), "{good}");
        }
        for bad in ["q=%ff", "q=%C3", "a=1&q=x%C3%28"] {
            assert!(!is_text(bad), "{bad}");
        }
    }

    #[test]
    fn a_mistyped_field_is_answered_with_the_one_that_was_meant() {
        let several = "unknown field `reson`, expected one of `step`, `reason` at line 1 column 9";
        assert_eq!(nearest(several).as_deref(), Some("did you mean “reason”?"));
        assert_eq!(
            nearest("unknown field `reson`, expected `reason`").as_deref(),
            Some("did you mean “reason”?")
        );
        assert_eq!(nearest("unknown field `colour`, expected `reason`"), None);
        assert_eq!(nearest("invalid type: map, expected a string"), None);
    }
}

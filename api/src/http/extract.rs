//! How requests are read: bodies and parameters whose faults are problem+json, and idempotency keys.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use everfold_engine::id::InputId;
use everfold_engine::json::Hash;
use everfold_engine::store::{Dedup, DedupKeep};
use serde::de::DeserializeOwned;

use super::Caller;
use crate::fault::{Code, Fault};

/// A JSON body with the bytes it was read from. An empty body is an empty object.
pub(crate) struct Body<T> {
    pub(crate) value: T,
    pub(crate) bytes: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            match rejection.status().as_u16() {
                413 => Fault::new(Code::TooLarge, "the body is over the limit of 4 MiB")
                    .hint("name a file in the input in place of what it holds"),
                _ => Fault::new(Code::Unreadable, rejection.body_text()),
            }
        })?;
        let text: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &bytes };
        let value = serde_json::from_slice(text).map_err(|error| {
            let code = if error.is_data() { Code::Invalid } else { Code::Unreadable };
            Fault::new(code, format!("the body: {error}"))
        })?;
        Ok(Self { value, bytes })
    }
}

/// The parameters of the query string.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Fault::new(Code::Invalid, rejection.body_text())),
        }
    }
}

/// What makes a repeated write recognisable.
pub(crate) struct Once {
    /// For the store.
    pub(crate) dedup: Option<Dedup>,
    /// For the run: equal for equal keys.
    pub(crate) input: InputId,
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
) -> Result<Once, Fault> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(Once { dedup: None, input: InputId(everfold_engine::clock::draw_u128().to_be_bytes()) });
    };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX);
    let key =
        key.ok_or_else(|| Fault::new(Code::Invalid, "Idempotency-Key is a text of 1 to 256 characters"))?;
    let about = format!("{}\n{route}\n{key}", caller.actor);
    let dedup = Dedup { key: Hash::of(about.as_bytes()), body: Hash::of(body), keep };
    Ok(Once { dedup: Some(dedup), input: InputId::derive(&about) })
}

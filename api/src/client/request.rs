//! Requests: their parts, paths and parameters.

use axum::body::Body;
use axum::http::{Request, header};
use everfold_workflows::http::percent_encoded;

use crate::fault::{Code, Fault};

/// What is asked of a route; may be sent more than once.
#[derive(Debug, Clone)]
pub(crate) struct RestRequest<'a> {
    pub(crate) method: &'a str,
    /// From `/api` or `/healthz` on, with its query.
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(&'a str, String)>,
    /// JSON.
    pub(crate) body: Option<Vec<u8>>,
}

impl<'a> RestRequest<'a> {
    /// A `GET`.
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: "GET", path, headers: Vec::new(), body: None }
    }

    /// The same, recognised where it arrives twice.
    pub(crate) fn once(mut self, key: u128) -> Self {
        self.headers.push(("idempotency-key", format!("{key:032x}")));
        self
    }

    /// The request, for `target`.
    pub(crate) fn request(&self, target: &str) -> Result<Request<Body>, Fault> {
        let mut request = Request::builder().method(self.method).uri(target);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(self.body.clone().map_or_else(Body::empty, Body::from))
            .map_err(|error| Fault::new(Code::Usage, error.to_string()))
    }
}

/// A text as a segment of a path or a value of a query.
#[must_use]
pub fn encode(text: &str) -> String {
    percent_encoded(text, b"@:")
}

/// The query string of the parameters that are there, with its question mark.
#[must_use]
pub fn query<'a>(params: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let given = params.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encode(&value?))));
    let text: Vec<String> = given.collect();
    if text.is_empty() { String::new() } else { format!("?{}", text.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_and_absent_ones_left_out() {
        assert_eq!(query([("a", Some("x y&z".to_owned())), ("b", None)]), "?a=x%20y%26z");
        assert_eq!(query([("a", None)]), "");
        assert_eq!(encode("a1b2:approve:1"), "a1b2:approve:1");
    }
}

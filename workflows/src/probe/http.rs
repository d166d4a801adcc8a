//! Evidence of a URL: what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use everfold_base::json::Value;
use everfold_core::policy::statuses;
use everfold_ports::{ProbeFailure, ProbeRequest, Prober};
use everfold_system::clock;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::failures::{never, not_now};
use crate::http::{HttpAnswer, HttpClient, HttpError, HttpRequest};

/// A gate asks again; it need not wait long for one answer.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Of the body, as evidence.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Of one header; what is longer ends with `…`.
const HEADER_CHARS_MAX: usize = 1_024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    expect: Value,
    /// The body is JSON, whatever the answer says of it: another body is a `problem` of the evidence.
    #[serde(default)]
    json: bool,
}

/// Asks URLs.
#[derive(Clone)]
pub struct HttpProber {
    client: HttpClient,
}

impl HttpProber {
    /// Asks with this client.
    #[must_use]
    pub fn new(client: HttpClient) -> Self {
        Self { client }
    }
}

impl Prober for HttpProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        probe(self.client.clone(), request).boxed()
    }
}

async fn probe(client: HttpClient, request: ProbeRequest) -> Result<Value, ProbeFailure> {
    let spec: Spec =
        serde_json::from_value(request.spec.clone()).map_err(|error| never(format!("`http`: {error}")))?;
    let expect = match &spec.expect {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    if let Some(wrong) = expect.iter().find(|one| statuses(one).is_none()) {
        return Err(never(format!("`expect`: {wrong} is no status, such as 200, 2xx or 200..299")));
    }
    let method = spec.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
    let method = method.parse().map_err(|_| never(format!("`method`: {method} is none")))?;
    let mut headers: BTreeMap<String, String> =
        spec.headers.unwrap_or_default().into_iter().map(|(name, value)| (name, text(&value))).collect();
    let body = match &spec.body {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        other => {
            headers.entry("content-type".into()).or_insert_with(|| "application/json".into());
            Some(other.to_string().into_bytes())
        }
    };
    let timeout = request.timeout.min(TIME_LIMIT);
    let asked = HttpRequest { method, url: spec.url, headers, body, timeout, body_bytes_max: BODY_BYTES_MAX };
    let answer = client.send(asked).await.map_err(|error| match &error {
        HttpError::Invalid(_) => never(error.to_string()),
        _may_come => not_now(error.to_string()),
    })?;
    let mut evidence = evidence(&answer, spec.json);
    if !spec.expect.is_null() {
        evidence["expect"] = spec.expect;
    }
    Ok(evidence)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// JSON is kept as what it says; cookies name an identity, and are not kept.
fn evidence(answer: &HttpAnswer, json: bool) -> Value {
    let is_json = json || answer.headers.get("content-type").is_some_and(|kind| kind.contains("json"));
    let parsed = match is_json {
        false => None,
        true if answer.truncated => {
            Some(Err(format!("the body is over {BODY_BYTES_MAX} bytes, and was not read as JSON")))
        }
        true => Some(answer.json().map_err(|error| format!("the body is no JSON: {error}"))),
    };
    // A gate that asks for JSON gets the problem as evidence; the content type of an answer promises the gate nothing.
    let problem = parsed.as_ref().and_then(|parsed| parsed.as_ref().err().cloned()).filter(|_| json);
    let headers = answer.headers.iter().filter(|(name, _)| *name != "set-cookie");
    let headers: BTreeMap<&String, String> =
        headers.map(|(name, value)| (name, shortened_header(value))).collect();
    let mut evidence = json!({
        "status": answer.status,
        "headers": headers,
        "body": parsed.and_then(Result::ok).unwrap_or_else(|| answer.text().into()),
        "source": {"url": answer.url, "status": answer.status, "fetched_at": clock::system()()},
    });
    if answer.truncated {
        evidence["truncated"] = true.into();
    }
    if let Some(problem) = problem {
        evidence["problem"] = problem.into();
    }
    evidence
}

fn shortened_header(value: &str) -> String {
    match value.char_indices().nth(HEADER_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

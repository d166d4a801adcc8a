//! The executor `http`: a request to a service is the work.
//!
//! Law: a request that the other side may have seen is sent again by itself only if that does no harm:
//! by its method (`GET`, `HEAD`, `OPTIONS`, `PUT`, `DELETE`), or because the step says so. Any other whose
//! answer never came is lost, and a person decides. Each attempt of a round carries the same key.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use everfold_core::policy::statuses;
use everfold_language::definition::OnLost;
use everfold_ports::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Executor, LossTraits, Service, Traits,
};
use everfold_system::clock;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::HttpClient;
use super::request::{HttpAnswer, HttpError, HttpRequest};
use crate::attempt_end::ended_now;
use crate::in_process::{InProcess, InProcessWork, StopHandle};

/// Where neither the step nor its defaults name one.
const TIME_LIMIT: Duration = Duration::from_secs(30 * 60);
/// More of an answer is not kept.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Of an answer that was not expected.
const TAIL_CHARS_MAX: usize = 2_000;
/// Names the attempts of one round as one intent.
const KEY_HEADER: &str = "idempotency-key";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(default)]
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    expect: Value,
    #[serde(default)]
    json: Option<bool>,
}

/// Sends the requests of `http` steps.
#[derive(Clone)]
pub struct HttpExecutor {
    client: HttpClient,
    running: InProcess,
}

impl HttpExecutor {
    /// Sends with this client.
    #[must_use]
    pub fn new(client: HttpClient) -> Self {
        Self { client, running: InProcess::default() }
    }
}

/// Whether the method of a request is one of these.
fn is_one_of(spec: &Value, methods: &[&str]) -> bool {
    let otherwise = if spec["body"].is_null() { "GET" } else { "POST" };
    let method = spec["method"].as_str().unwrap_or(otherwise);
    methods.iter().any(|known| known.eq_ignore_ascii_case(method))
}

impl Executor for HttpExecutor {
    fn traits(&self, spec: &Value) -> Traits {
        let idempotent = is_one_of(spec, &["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);
        let on_lost = if idempotent { OnLost::Retry } else { OnLost::Block };
        Traits {
            supervised: false,
            loss: LossTraits { idempotent, on_lost },
            paid: false,
            reads_input: false,
        }
    }

    /// What only asks changes nothing there.
    fn is_outside(&self, spec: &Value) -> bool {
        !is_one_of(spec, &["GET", "HEAD", "OPTIONS"])
    }

    /// The host that is asked.
    fn services(&self, spec: &Value) -> Vec<Service> {
        let url = spec.as_str().or(spec["url"].as_str()).unwrap_or_default();
        host_of(url).into_iter().collect()
    }

    fn is_outage(&self, failure: &Failure) -> bool {
        crate::outage_classifier::is_outage(failure)
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let idempotent = request.idempotent.unwrap_or(self.traits(&request.spec).loss.idempotent);
        let limit = request.timeout.unwrap_or(TIME_LIMIT);
        let (asked, spec) = match prepared(&request, limit) {
            Ok(prepared) => prepared,
            Err(message) => {
                let failure = Failure::new(FailureKind::Validation, message);
                return async { ended_now(AttemptResult::Failed(failure)) }.boxed();
            }
        };
        let client = self.client.clone();
        let work = InProcessWork {
            id: request.id,
            timeout: Some(limit),
            what: "the request",
            stop: StopHandle::default(),
        };
        let retry_after = Arc::new(OnceLock::new());
        let noted = Arc::clone(&retry_after);
        let done = self.running.run(work, observer, async move {
            let what = format!("{} {}", asked.method, place(&asked.url));
            match client.send(asked).await {
                Ok(answer) => {
                    if matches!(answer.status, 429 | 503)
                        && let Some(span) = answer.retry_after(clock::now())
                    {
                        // It is the only answer.
                        let _first = noted.set(span);
                    }
                    judged(&what, &spec, answer)
                }
                Err(error) if error.may_have_arrived() && !idempotent => {
                    AttemptResult::Lost { reason: format!("{what} was sent, but {error}") }
                }
                Err(error) => AttemptResult::Failed(unanswered(&what, &error)),
            }
        });
        done.map(move |end| AttemptEnd { again_after: retry_after.get().copied(), ..end }).boxed()
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        if request.idempotent.unwrap_or(self.traits(&request.spec).loss.idempotent) {
            return self.start(request, observer);
        }
        let reason = "the engine ended while the request was out; sending it again could do it twice";
        async { ended_now(AttemptResult::Lost { reason: reason.to_owned() }) }.boxed()
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        self.running.cancel(&request.id)
    }
}

fn prepared(request: &AttemptRequest, limit: Duration) -> Result<(HttpRequest, Spec), String> {
    // The message must not show what the headers hold.
    let spec: Spec = serde_json::from_value(request.spec.clone())
        .map_err(|_| "`http` is a URL, or {method, url, headers, body, expect, json}".to_owned())?;
    for expected in expected(&spec.expect) {
        if statuses(&expected).is_none() {
            return Err(format!("`expect`: {expected} is no status, such as 200, 2xx or 200..299"));
        }
    }
    let default = if spec.body.is_null() { "GET" } else { "POST" };
    let method = spec.method.as_deref().unwrap_or(default).to_ascii_uppercase();
    let method: Method = method.parse().map_err(|_| format!("`method`: {method} is none"))?;
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in spec.headers.iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        headers.insert(name.to_ascii_lowercase(), value);
    }
    let body = match &spec.body {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        other => {
            headers.entry("content-type".to_owned()).or_insert_with(|| "application/json".to_owned());
            Some(other.to_string().into_bytes())
        }
    };
    if spec.json == Some(true) {
        headers.entry("accept".to_owned()).or_insert_with(|| "application/json".to_owned());
    }
    if !method.is_safe() {
        headers.entry(KEY_HEADER.to_owned()).or_insert_with(|| request.id.idempotency_key());
    }
    // A little longer than the attempt's own limit, so that this one is what is reported.
    let timeout = limit.saturating_add(Duration::from_secs(5));
    let url = spec.url.clone();
    Ok((HttpRequest { method, url, headers, body, timeout, body_bytes_max: BODY_BYTES_MAX }, spec))
}

/// What the step expects, as a list.
fn expected(expect: &Value) -> Vec<Value> {
    match expect {
        Value::Null => vec!["2xx".into()],
        Value::Array(items) if items.is_empty() => vec!["2xx".into()],
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    }
}

fn judged(what: &str, spec: &Spec, answer: HttpAnswer) -> AttemptResult {
    let status = u64::from(answer.status);
    let expected = expected(&spec.expect);
    let fits = expected.iter().filter_map(statuses).any(|(first, last)| (first..=last).contains(&status));
    let failed = |kind, code: String, message: String| {
        let mut failure = Failure::new(kind, message).with_detail(tail(&answer));
        failure.code = Some(code);
        AttemptResult::Failed(failure)
    };
    if !fits {
        let wanted: Vec<String> =
            expected.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
        let message = format!("{what} answered {status}, not {}", wanted.join(" or "));
        return failed(FailureKind::Error, format!("HTTP_{status}"), message);
    }
    let says_json = answer.headers.get("content-type").is_some_and(|kind| kind.contains("json"));
    let parsed = if answer.truncated || answer.body.is_empty() { None } else { answer.json().ok() };
    if spec.json == Some(true) && parsed.is_none() {
        let why = if answer.truncated { "is larger than 1 MiB" } else { "is no JSON" };
        let message = format!("{what} answered {status}, but the body {why}");
        return failed(FailureKind::Validation, "NO_JSON".to_owned(), message);
    }
    let wants_json = spec.json.unwrap_or(says_json);
    let body = parsed.filter(|_| wants_json).unwrap_or_else(|| answer.text().into());
    // Cookies name an identity, and are not kept.
    let headers: BTreeMap<&String, &String> =
        answer.headers.iter().filter(|(name, _)| *name != "set-cookie").collect();
    let mut output = json!({"status": status, "headers": headers, "body": body});
    if answer.truncated {
        output["truncated"] = true.into();
    }
    AttemptResult::Succeeded(output)
}

fn unanswered(what: &str, error: &HttpError) -> Failure {
    let (kind, code, hint) = match error {
        HttpError::Invalid(_) => (FailureKind::Validation, "BAD_REQUEST", "correct `http` of the step"),
        HttpError::Unreachable { .. } => (
            FailureKind::Error,
            "UNREACHABLE",
            "nothing was sent; `retry` in the step makes the engine try again by itself",
        ),
        HttpError::NoAnswer { .. } => (
            FailureKind::Error,
            "NO_ANSWER",
            "the other side may have seen the request; `retry` in the step sends it again with the same key",
        ),
    };
    let mut failure = Failure::new(kind, format!("{what}: {error}")).with_hint(hint);
    failure.code = Some(code.to_owned());
    failure
}

/// The last of what an unexpected answer said.
fn tail(answer: &HttpAnswer) -> String {
    let text = answer.shown();
    let text = text.trim();
    match text.char_indices().rev().nth(TAIL_CHARS_MAX) {
        Some((at, _)) => format!("…{}", &text[at..]),
        None => text.to_owned(),
    }
}

/// The host of a URL, with its port where one is named: what answers.
pub(crate) fn host_of(url: &str) -> Option<Service> {
    let place = place(url);
    let host = place.split_once("://")?.1.split('/').next()?.to_ascii_lowercase();
    (!host.is_empty()).then(|| Service::new("http", &host))
}

/// The URL without what may be a secret in it: name and password, and the query.
fn place(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
        }
        None => "the request".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_url_holds_no_secret() {
        assert_eq!(
            place("https://ada:secret@example.org:8443/a/b?token=secret#x"),
            "https://example.org:8443/a/b"
        );
        assert_eq!(place("https://example.org?token=secret"), "https://example.org");
        assert_eq!(place("secret"), "the request");
    }
}

//! Runs as traces: the program sends them to a collector of this test, by OTLP over HTTP, also after `kill -9`.
//!
//! What comes is checked as the specification has it: <https://opentelemetry.io/docs/specs/otlp/> and `trace.proto`.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::fixtures::Place;
use super::rest_client::{AWAY, PATIENCE};

/// A collector: checks what it gets, and keeps it.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Value>>>,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let collector = collector.clone();
                let answer = service_fn(move |request| collector.clone().answer(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        url
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        // Who is killed in the middle of a request sent nothing.
        let Ok(body) = body.collect().await else { return Ok(Response::default()) };
        let mut faults = Vec::new();
        let named = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        if (head.method.as_str(), head.uri.path()) != ("POST", "/v1/traces") {
            faults.push(format!("{} {}", head.method, head.uri));
        }
        if named("content-type") != Some("application/json") || named("x-key") != Some("k") {
            faults.push(format!("headers: {:?}", head.headers));
        }
        match serde_json::from_slice::<Value>(&body.to_bytes()) {
            Ok(body) => self.spans.lock().unwrap().extend(spans_of(&body, &mut faults)),
            Err(error) => faults.push(format!("the body is no JSON: {error}")),
        }
        self.faults.lock().unwrap().extend(faults);
        let answer = Response::builder().header(header::CONTENT_TYPE, "application/json");
        Ok(answer.status(StatusCode::OK).body(Full::from("{\"partialSuccess\":{}}")).unwrap())
    }

    /// What came, once it is what is waited for.
    async fn until(&self, what: &str, is_there: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let waiting = async {
            loop {
                let spans = self.spans.lock().unwrap().clone();
                if is_there(&spans) {
                    return spans;
                }
                tokio::time::sleep(AWAY).await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await;
        let spans = came.unwrap_or_else(|_| panic!("{what}: {:#?}", self.spans.lock().unwrap()));
        assert_eq!(*self.faults.lock().unwrap(), Vec::<String>::new(), "each request is as OTLP has it");
        spans
    }
}

/// An object with these fields and no others; those with `?` may be absent.
fn fields(value: &Value, wanted: &[&str], faults: &mut Vec<String>) {
    let Some(object) = value.as_object() else { return faults.push(format!("no object: {value}")) };
    for name in object.keys() {
        if !wanted.iter().any(|wanted| wanted.trim_end_matches('?') == name) {
            faults.push(format!("the field {name} of {value}"));
        }
    }
    for name in wanted.iter().filter(|name| !name.ends_with('?')) {
        if !object.contains_key(*name) {
            faults.push(format!("no {name} in {value}"));
        }
    }
}

/// Ids are hexadecimal digits, not base64 as bytes are elsewhere in JSON of protobuf, and never all zero.
fn is_id(value: &Value, digits: usize) -> bool {
    let text = value.as_str().unwrap_or_default();
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(is_hex) && text.bytes().any(|byte| byte != b'0')
}

/// 64-bit numbers are texts of decimal digits.
fn nanos(value: &Value) -> Option<u128> {
    value.as_str()?.parse().ok()
}

fn attributes(all: &Value, faults: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    for one in all.as_array().into_iter().flatten() {
        fields(one, &["key", "value"], faults);
        let kind =
            one["value"].as_object().filter(|kinds| kinds.len() == 1).and_then(|kinds| kinds.iter().next());
        let is_good = match kind.map(|(kind, value)| (kind.as_str(), value)) {
            Some(("stringValue", value)) => value.is_string(),
            Some(("boolValue", value)) => value.is_boolean(),
            Some(("doubleValue", value)) => value.is_number(),
            Some(("intValue", value)) => value.as_str().is_some_and(|text| text.parse::<i64>().is_ok()),
            _other => false,
        };
        if !is_good || !names.insert(one["key"].as_str().unwrap_or_default()) {
            faults.push(format!("the attribute {one}"));
        }
    }
}

/// The spans of a request, field by field as `trace.proto` has them.
fn spans_of(body: &Value, faults: &mut Vec<String>) -> Vec<Value> {
    fields(body, &["resourceSpans"], faults);
    let mut all = Vec::new();
    for of_resource in body["resourceSpans"].as_array().into_iter().flatten() {
        fields(of_resource, &["resource", "scopeSpans"], faults);
        fields(&of_resource["resource"], &["attributes"], faults);
        attributes(&of_resource["resource"]["attributes"], faults);
        if attribute(&of_resource["resource"], "service.name") != Some("flow".to_owned()) {
            faults.push(format!("the resource {}", of_resource["resource"]));
        }
        for of_scope in of_resource["scopeSpans"].as_array().into_iter().flatten() {
            fields(of_scope, &["scope", "spans"], faults);
            fields(&of_scope["scope"], &["name", "version"], faults);
            for span in of_scope["spans"].as_array().into_iter().flatten() {
                check(span, faults);
                all.push(span.clone());
            }
        }
    }
    if all.is_empty() {
        faults.push(format!("nothing is sent: {body}"));
    }
    all
}

fn check(span: &Value, faults: &mut Vec<String>) {
    let known = [
        "traceId",
        "spanId",
        "parentSpanId?",
        "name",
        "kind",
        "startTimeUnixNano",
        "endTimeUnixNano",
        "attributes",
        "links?",
        "status",
    ];
    fields(span, &known, faults);
    attributes(&span["attributes"], faults);
    fields(&span["status"], &["code?", "message?"], faults);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let hour = Duration::from_secs(3_600).as_nanos();
    let is_now = |at: u128| (now - hour..now + hour).contains(&at);
    let (start, end) = (nanos(&span["startTimeUnixNano"]), nanos(&span["endTimeUnixNano"]));
    let code = &span["status"]["code"];
    // STATUS_CODE_UNSET is 0 and may be left out, OK is 1, ERROR is 2; a message is of an error alone.
    let is_status = code.is_null() || (*code == json!(1)) || *code == json!(2);
    let is_message = span["status"]["message"].is_null() || *code == json!(2);
    let is_good = is_id(&span["traceId"], 32)
        && is_id(&span["spanId"], 16)
        && (span["parentSpanId"].is_null() || is_id(&span["parentSpanId"], 16))
        && span["name"].as_str().is_some_and(|name| !name.is_empty())
        // SPAN_KIND_INTERNAL; names of enums are not for this encoding.
        && span["kind"] == json!(1)
        && start.is_some_and(is_now)
        && end.is_some_and(is_now)
        && start <= end
        && is_status
        && is_message;
    if !is_good {
        faults.push(format!("the span {span}"));
    }
    for link in span["links"].as_array().into_iter().flatten() {
        fields(link, &["traceId", "spanId"], faults);
        if !is_id(&link["traceId"], 32) || !is_id(&link["spanId"], 16) {
            faults.push(format!("the link {link}"));
        }
    }
}

fn attribute(of: &Value, name: &str) -> Option<String> {
    let all = of["attributes"].as_array()?;
    let value = &all.iter().find(|one| one["key"] == name)?["value"];
    value.as_object()?.values().next()?.as_str().map(str::to_owned)
}

const PIPELINE: &str = "\
name: traced
steps:
  - id: first
    command: 'true'
    gates: [{ id: fine, expression: 'true' }]
  - id: work
    needs: [first]
    command: 'while [ ! -e GATE ]; do sleep 0.05; done; exit 3'
    retry: { attempts: 2, backoff: 10ms..10ms }
    on_fail: continue
  - { id: last, needs: [work], function: everfold.noop }
";

fn named<'a>(spans: &'a BTreeMap<String, Value>, name: &str) -> &'a Value {
    spans.values().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"))
}

#[test]
fn a_run_is_one_trace_also_where_its_server_was_killed_and_is_linked_to_its_request() {
    const PARENT: (&str, &str) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let collector = Collector::default();
    let url = runtime.block_on(collector.start());
    let scratch = tempfile::tempdir().unwrap();
    let gate = scratch.path().join("open");
    let variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=k".to_owned()),
        ("OTEL_SERVICE_NAME", "flow".to_owned()),
    ];
    let definition = PIPELINE.replace("GATE", &gate.display().to_string());
    let mut place = Place::with("", variables);
    let run = runtime.block_on(async {
        let mut client = place.client();
        let parent = format!("00-{}-{}-01", PARENT.0, PARENT.1);
        let named = [("traceparent", parent.as_str()), ("idempotency-key", "start")];
        let begun =
            client.ask("POST", "/api/v1/runs", &named, Some(&json!({ "definition": definition }))).await;
        assert_eq!(begun.status, 201, "{}", begun.body);
        let run = begun.body["id"].as_str().unwrap().to_owned();
        // The beginning is exported at once, and what has ended; the rest is not known yet.
        let seen = |spans: &[Value], name: &str| spans.iter().any(|span| span["name"] == name);
        let spans = collector.until("it begins", |all| seen(all, "start traced") && seen(all, "first")).await;
        assert!(!seen(&spans, "run traced") && !seen(&spans, "work"), "{spans:#?}");
        run
    });
    place.kill();
    std::fs::write(&gate, "").unwrap();
    place.serve();
    let all = runtime.block_on(
        collector.until("the run's end", |all| all.iter().any(|span| span["name"] == "run traced")),
    );
    place.end();

    // One trace, whose id is the run's; what was sent twice is the same span.
    let mut spans = BTreeMap::new();
    for span in all {
        assert_eq!(span["traceId"], run.replace('-', ""), "{span}");
        let id = span["spanId"].as_str().unwrap().to_owned();
        let mut alike = span.clone();
        alike["links"] = Value::Null;
        let former = spans.insert(id, span);
        if let Some(mut former) = former {
            former["links"] = Value::Null;
            assert_eq!(former, alike, "a span that is sent again is the same one");
        }
    }
    let names: Vec<&str> = spans.values().map(|span| span["name"].as_str().unwrap()).collect();
    let names: BTreeSet<&str> = names.into_iter().collect();
    let wanted = [
        "first",
        "first 1.1",
        "gate fine",
        "last",
        "last 1.1",
        "run traced",
        "start traced",
        "work",
        "work 1.1",
        "work 1.2",
    ];
    assert_eq!(names, wanted.into(), "{spans:#?}");
    let root = named(&spans, "run traced");
    assert_eq!((&root["parentSpanId"], &root["status"]["code"]), (&Value::Null, &json!(1)), "{root}");
    for (name, parent) in [
        ("start traced", "run traced"),
        ("first", "run traced"),
        ("work", "run traced"),
        ("last", "run traced"),
        ("first 1.1", "first"),
        ("gate fine", "first"),
        ("work 1.1", "work"),
        ("work 1.2", "work"),
        ("last 1.1", "last"),
    ] {
        let (span, parent) = (named(&spans, name), named(&spans, parent));
        assert_eq!(span["parentSpanId"], parent["spanId"], "{name}");
        assert!(nanos(&span["startTimeUnixNano"]) >= nanos(&parent["startTimeUnixNano"]), "{name}");
        assert!(nanos(&span["endTimeUnixNano"]) <= nanos(&parent["endTimeUnixNano"]), "{name}");
    }
    for attempt in ["work 1.1", "work 1.2"] {
        let span = named(&spans, attempt);
        assert_eq!(span["status"]["code"], 2, "{span}");
        assert_eq!(attribute(span, "everfold.exit_code").as_deref(), Some("3"), "{span}");
        assert_eq!(attribute(span, "everfold.kind").as_deref(), Some("command"), "{span}");
    }
    assert_eq!(attribute(named(&spans, "gate fine"), "everfold.verdict").as_deref(), Some("pass"));
    // The first attempt began under the server that was killed, and ended under the next one.
    let first = named(&spans, "work 1.1");
    assert!(nanos(&first["startTimeUnixNano"]) < nanos(&named(&spans, "work 1.2")["startTimeUnixNano"]));
    // Both the run and its beginning are linked to the request, whichever server tells of them.
    for name in ["start traced", "run traced"] {
        let link = json!([{ "traceId": PARENT.0, "spanId": PARENT.1 }]);
        assert_eq!(named(&spans, name)["links"], link, "{name}");
    }
}

//! What a collector gets, over its real protocol: OTLP/HTTP with JSON bodies.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use everfold_engine::data_folder::Layout;
use everfold_engine::id::RunId;
use everfold_engine::input::StartOptions;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::follow::Tracing;
use super::requests::RequestSpans;
use super::send::Collector;
use super::span::{RemoteSpan, span_id};
use crate::node::{PipelineSource, StartRun};
use crate::serve::{NodeGuard, imagine};
use crate::settings::GenAiConventions;

/// A collector that is away for the first requests.
#[derive(Clone, Default)]
struct Fake {
    spans: Arc<watch::Sender<Vec<Value>>>,
    refusals: Arc<Mutex<u32>>,
    resources: Arc<Mutex<Vec<Value>>>,
}

impl Fake {
    async fn start(&self) -> Collector {
        async fn take(State(fake): State<Fake>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
            let mut refusals = fake.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return (StatusCode::SERVICE_UNAVAILABLE, String::new());
            }
            assert_eq!(headers["content-type"], "application/json");
            assert_eq!(headers["x-key"], "k");
            let body: Value = serde_json::from_slice(&body).unwrap();
            for resource in body["resourceSpans"].as_array().unwrap() {
                fake.resources.lock().unwrap().push(resource["resource"].clone());
                for scope in resource["scopeSpans"].as_array().unwrap() {
                    let new = scope["spans"].as_array().unwrap();
                    fake.spans.send_modify(|spans| spans.extend(new.iter().cloned()));
                }
            }
            (StatusCode::OK, "{}".to_owned())
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/traces", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Collector::new(url, [("x-key".to_owned(), "k".to_owned())].into())
    }

    /// The spans, once there is one of this name.
    async fn until(&self, name: &str) -> Vec<Value> {
        let mut spans = self.spans.subscribe();
        let there = spans.wait_for(|spans| spans.iter().any(|span| span["name"] == name));
        match tokio::time::timeout(Duration::from_secs(20), there).await {
            Ok(spans) => spans.unwrap().clone(),
            Err(_late) => panic!("no span {name}: {:?}", self.spans.borrow()),
        }
    }
}

fn attribute<'a>(span: &'a Value, name: &str) -> &'a Value {
    let all = span["attributes"].as_array().unwrap();
    all.iter().find(|one| one["key"] == name).map_or(&Value::Null, |one| &one["value"])
}

fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"))
}

const PIPELINE: &str = "name: p
steps:
  - id: fetch
    function: everfold.echo
    with: { ok: true }
    gates: [{ id: fine, expression: 'steps.fetch.output.ok' }]
  - id: broken
    function: everfold.sleep
    with: { for: soon }
";

async fn begin(node_guard: &NodeGuard) -> RunId {
    begin_one(node_guard, PIPELINE).await
}

async fn begin_one(node_guard: &NodeGuard, text: &str) -> RunId {
    let begin = StartRun {
        source: PipelineSource::Text { text: text.to_owned(), file: None, files: Default::default() },
        options: StartOptions { title: Some("t".to_owned()), ..StartOptions::new(json!({}).into()) },
        actor: everfold_engine::actor::Actor::User("ada".to_owned()),
        dedup: None,
        detach: false,
        credentials: Default::default(),
    };
    node_guard.node().begin(begin).await.unwrap().run
}

#[tokio::test]
async fn a_run_is_one_trace_with_a_span_per_step_attempt_and_gate_linked_to_its_request() {
    let fake = Fake::default();
    *fake.refusals.lock().unwrap() = 1;
    let collector = fake.start().await;
    let node_guard = imagine(Layout::new("/nowhere")).unwrap();
    let requests = Arc::new(RequestSpans::default());
    let tracing = Tracing::begin(
        Arc::clone(node_guard.node().store()),
        Arc::clone(&requests),
        collector,
        GenAiConventions::V1_37,
    );
    let run = begin(&node_guard).await;
    requests
        .remember(run, RemoteSpan::read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap());
    let spans = fake.until("run p").await;
    let trace = run.0.simple().to_string();
    assert!(spans.iter().all(|span| span["traceId"] == json!(trace)), "{spans:#?}");
    let (root, fetch, attempt) = (named(&spans, "run p"), named(&spans, "fetch"), named(&spans, "fetch 1.1"));
    assert_eq!((&root["parentSpanId"], &root["status"]["code"]), (&Value::Null, &json!(2)));
    assert_eq!(fetch["parentSpanId"], root["spanId"]);
    assert_eq!(attempt["parentSpanId"], fetch["spanId"]);
    assert_eq!(named(&spans, "gate fine")["parentSpanId"], fetch["spanId"]);
    assert_eq!(attribute(named(&spans, "gate fine"), "everfold.verdict")["stringValue"], "pass");
    assert_eq!(attribute(attempt, "everfold.attempt")["intValue"], "1");
    assert_eq!(named(&spans, "broken")["status"]["code"], 2);
    let link = json!([{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7"}]);
    assert_eq!(
        (&named(&spans, "start p")["links"], attribute(root, "everfold.actor")),
        (&link, &json!({"stringValue": "user:ada"}))
    );
    for span in &spans {
        let nanos = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
        assert!(nanos("startTimeUnixNano") <= nanos("endTimeUnixNano"), "{span}");
        assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
    }
    let resource = fake.resources.lock().unwrap()[0].clone();
    assert_eq!(attribute(&resource, "service.name")["stringValue"], "everfold");
    tracing.end().await;
    node_guard.release().await;
}

#[tokio::test]
async fn another_engine_goes_on_with_the_same_trace_and_what_goes_again_is_the_same_span() {
    let node_guard = imagine(Layout::new("/nowhere")).unwrap();
    let run = begin(&node_guard).await;
    // Nothing was sent while the run was there: the next engine does, from the log.
    let mut ids = Vec::new();
    for _ in 0..2 {
        let fake = Fake::default();
        let collector = fake.start().await;
        let store = Arc::clone(node_guard.node().store());
        let tracing = Tracing::begin(store, Arc::default(), collector, GenAiConventions::default());
        let spans = fake.until("run p").await;
        assert_eq!(named(&spans, "run p")["spanId"], span_id(run, "run"));
        let mut all: Vec<String> = spans.iter().map(|span| span["spanId"].to_string()).collect();
        all.sort();
        ids.push(all);
        tracing.end().await;
    }
    assert_eq!(ids[0], ids[1]);
    node_guard.release().await;
}

#[tokio::test]
async fn items_lie_below_their_step_a_child_links_to_what_started_it_and_nothing_goes_twice() {
    let fake = Fake::default();
    let collector = fake.start().await;
    let node_guard = imagine(Layout::new("/nowhere")).unwrap();
    let store = Arc::clone(node_guard.node().store());
    let tracing = Tracing::begin(store, Arc::default(), collector, GenAiConventions::default());
    let text = "name: many
notify: [{ id: told, events: [RunSucceeded], function: notify.log, with: {} }]
steps:
  - { id: each, foreach: { in: [1, 2] }, function: everfold.noop }
  - { id: below, foreach: { in: [1], steps: [{ id: inner, function: everfold.noop }] } }
";
    begin_one(&node_guard, text).await;
    fake.until("run many").await;
    // What is recorded behind the end, as that it was told, is of no span.
    begin(&node_guard).await;
    let spans = fake.until("run p").await;
    let each = named(&spans, "each");
    for item in ["each.0 1.1", "each.1 1.1"] {
        assert_eq!(named(&spans, item)["parentSpanId"], each["spanId"], "{item}");
    }
    assert!(spans.iter().all(|span| span["name"] != "each.0" && span["name"] != "below.0"), "{spans:#?}");
    let (started, inner) = (named(&spans, "below.0 1.1"), named(&spans, "inner"));
    assert_eq!(started["parentSpanId"], named(&spans, "below")["spanId"]);
    let child = spans.iter().find(|span| {
        span["traceId"] == inner["traceId"]
            && span["name"].as_str().is_some_and(|name| name.starts_with("start "))
    });
    assert_eq!(child.unwrap()["links"][0]["spanId"], started["spanId"]);
    let mut ids: Vec<String> = spans.iter().map(|span| span["spanId"].to_string()).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "{spans:#?}");
    tracing.end().await;
    node_guard.release().await;
}

/// The span of an agent's attempt, by the conventions of a version.
fn agent_span(conventions: GenAiConventions) -> Vec<(&'static str, Value)> {
    use everfold_engine::actor::Actor;
    use everfold_engine::artefact::Usage;
    use everfold_engine::event::{
        AttemptFailed, RetryScheduled, RunEvent, ScheduledTask, ScheduledWork, StepScheduled, UsageRecorded,
    };
    use everfold_engine::failure::{Failure, FailureKind};
    use everfold_engine::json::Payload;
    use everfold_engine::time::Timestamp;

    let task = json!({"spec": {"profile": "claude", "role": "reviewer", "model": "opus"}});
    let work = ScheduledTask {
        kind: "agent".to_owned(),
        task: Payload::Inline(task.into()),
        timeout_ms: None,
        grace_ms: 0,
    };
    let scheduled = StepScheduled { id: "think/1/1".parse().unwrap(), work: ScheduledWork::Task(work) };
    let failed = |id: &str, code: Option<&str>| {
        let mut failure = Failure::new(FailureKind::Timeout, "late");
        failure.code = code.map(str::to_owned);
        let (id, ended_at) = (id.parse().unwrap(), Timestamp(9));
        let (commit, artefacts, notes) = (None, Vec::new(), Default::default());
        RunEvent::from(AttemptFailed { id, failure, commit, artefacts, ended_at, notes })
    };
    let usage = |input_tokens| Usage {
        model: Some("claude-opus-4-5".to_owned()),
        session: Some("s1".to_owned()),
        input_tokens,
        cached_tokens: 10,
        output_tokens: 3,
        ..Usage::default()
    };
    let used = |id: &str, seq| {
        UsageRecorded { id: id.parse().unwrap(), seq, usage: usage(5), less_micros: 0 }.into()
    };
    let retry = RetryScheduled { id: "think/1/2".parse().unwrap(), at: Timestamp(3), task: None };
    let events: [RunEvent; 7] = [
        scheduled.into(),
        used("think/1/1", 1),
        failed("think/1/1", None),
        retry.into(),
        used("think/1/2", 1),
        used("think/1/2", 2),
        failed("think/1/2", Some("OVERLOADED")),
    ];
    let run: RunId = "00000000-0000-0000-0000-000000000007".parse().unwrap();
    let mut trace = super::fold::RunTrace::new(run, conventions);
    let spans = events.iter().flat_map(|event| trace.apply(event, Timestamp(5), &Actor::Engine));
    let spans: Vec<_> = spans.collect();
    assert_eq!(spans.len(), 2, "{spans:?}");
    let is_genai = |(name, _): &(&str, Value)| name.starts_with("gen_ai.") || *name == "error.type";
    spans.last().unwrap().attributes.iter().filter(|one| is_genai(one)).cloned().collect()
}

#[test]
fn an_agents_attempt_carries_the_attributes_of_the_pinned_conventions_and_none_where_they_are_off() {
    let newest = [
        ("gen_ai.operation.name", json!("invoke_agent")),
        ("gen_ai.provider.name", json!("anthropic")),
        ("gen_ai.agent.name", json!("reviewer")),
        ("gen_ai.request.model", json!("opus")),
        ("gen_ai.response.model", json!("claude-opus-4-5")),
        // Of this attempt alone: two reports of 15 tokens read, 10 of them cached.
        ("gen_ai.usage.input_tokens", json!(30)),
        ("gen_ai.usage.output_tokens", json!(6)),
        ("gen_ai.conversation.id", json!("s1")),
        ("error.type", json!("OVERLOADED")),
    ];
    assert_eq!(agent_span(GenAiConventions::V1_37), newest);
    let mut former = newest.to_vec();
    former[1].0 = "gen_ai.system";
    assert_eq!(agent_span(GenAiConventions::V1_36), former);
    assert_eq!(agent_span(GenAiConventions::Off), []);
}

#[test]
fn the_environment_names_the_collector_and_a_port_that_speaks_grpc_is_told() {
    let collector = |set: &'static [(&'static str, &'static str)]| {
        super::send::Collector::of(|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    };
    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317/");
    assert!(collector(&[]).unwrap().is_none());
    assert!(collector(&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
    assert!(collector(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_none());
    let why = collector(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).err().unwrap();
    assert!(why.contains("http/json") && why.contains("127.0.0.1:4317/v1/traces"), "{why}");
    const BOTH: [(&str, &str); 3] = [
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
    ];
    assert!(collector(&BOTH).unwrap().is_some());
    let known = collector(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20a%3D, x=1")]);
    let known = known.unwrap().unwrap();
    assert_eq!(known.url, "http://127.0.0.1:4317/v1/traces");
    let headers =
        [("Authorization", "Basic a="), ("x", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(known.headers, headers.into());
}

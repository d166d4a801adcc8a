//! What every answer carries, how bad requests are refused, and how large answers are given.

use std::collections::BTreeSet;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response};
use everfold_api::access::Caller;
use everfold_api::node;
use everfold_api::serve::{self, NodeGuard};
use everfold_engine::actor::Actor;
use everfold_engine::data_folder::Layout;
use everfold_engine::envelope::{Cause, EventHeader, NewEvent, StreamId};
use everfold_engine::id::{EffectId, InputId, RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::store::{Append, StreamNote};
use everfold_engine::time::Timestamp;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

struct Api {
    held: NodeGuard,
    _folder: tempfile::TempDir,
}

impl Api {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { held: serve::imagine(Layout::new(folder.path().join("data"))).unwrap(), _folder: folder }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path).extension(Caller::local("ada"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.held.routes().oneshot(request.body(body).unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Bytes) {
        read(self.send("GET", path, headers, Body::empty()).await).await
    }

    /// Runs a pipeline to its end.
    async fn ran(&self) -> String {
        let body = json!({ "definition": "name: one\nsteps: [{ id: a, function: everfold.noop }]\n" });
        let response = self.send("POST", "/api/v1/runs", &[], Body::from(body.to_string())).await;
        let run: Value = serde_json::from_slice(&read(response).await.2).unwrap();
        let run = run["id"].as_str().unwrap().to_owned();
        let stream = self.send("GET", &format!("/api/v1/runs/{run}/events/stream"), &[], Body::empty()).await;
        stream.into_body().collect().await.unwrap();
        run
    }
}

async fn read(response: Response<Body>) -> (u16, HeaderMap, Bytes) {
    let (head, body) = response.into_parts();
    (head.status.as_u16(), head.headers, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn every_answer_is_safe_for_browsers_and_has_an_id() {
    let api = Api::new();
    for (method, path) in [
        ("GET", "/api"),
        ("GET", "/api/nowhere"),
        ("DELETE", "/api/v1/runs"),
        ("GET", "/api/v1/runs"),
        ("OPTIONS", "/api"),
    ] {
        let (_, headers, _) =
            read(api.send(method, path, &[("x-request-id", "mine-7")], Body::empty()).await).await;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{method} {path}");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-request-id"], "mine-7");
    }
    for bad in ["", "two words"] {
        let (_, headers, _) = api.get("/healthz", &[("x-request-id", bad)]).await;
        assert_eq!(headers["x-request-id"].len(), 32, "an id of its own in place of “{bad}”");
    }
    let (_, headers, _) = api.get("/api/v1/session", &[]).await;
    assert_eq!(headers["cache-control"], "no-store");
}

#[tokio::test]
async fn a_read_that_is_known_already_is_answered_without_a_body() {
    let api = Api::new();
    let (status, headers, body) = api.get("/api/v1/runs", &[]).await;
    let tag = headers["etag"].to_str().unwrap().to_owned();
    assert!(status == 200 && tag.starts_with("W/\"") && !body.is_empty());
    let known = [("if-none-match", tag.as_str())];
    let (status, headers, body) = api.get("/api/v1/runs", &known).await;
    assert_eq!((status, headers["etag"].to_str().unwrap(), body.len()), (304, tag.as_str(), 0));
    let several = format!("\"other\", {tag}");
    assert_eq!(api.get("/api/v1/runs", &[("if-none-match", &several)]).await.0, 304);
    api.ran().await;
    assert_eq!(api.get("/api/v1/runs", &known).await.0, 200);
    assert!(!api.get("/api/v1/tokens", &[]).await.1.contains_key("etag"));
}

#[tokio::test]
async fn large_answers_are_compressed_and_streams_are_not() {
    let api = Api::new();
    let (_, _, plain) = api.get("/api/v1/pipelines/delivery", &[]).await;
    for way in ["gzip", "zstd"] {
        let (status, headers, body) =
            api.get("/api/v1/pipelines/delivery", &[("accept-encoding", way)]).await;
        assert_eq!((status, headers["content-encoding"].to_str().unwrap()), (200, way));
        assert!(body.len() * 3 < plain.len(), "{way}: {} of {}", body.len(), plain.len());
    }
    // What callers without a token may ask for as often as they like costs nothing to hold.
    for public in ["/api/openapi.json", "/api", "/api/reference.js", "/healthz"] {
        let (status, headers, _) = api.get(public, &[("accept-encoding", "gzip")]).await;
        assert!(status == 200 && !headers.contains_key("content-encoding"), "{public}");
    }
    let response = api.send("GET", "/api/v1/stream", &[("accept-encoding", "gzip")], Body::empty()).await;
    assert!(!response.headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn head_and_options_answer_sensibly() {
    let api = Api::new();
    let (status, _, body) = read(api.send("HEAD", "/api/v1/runs", &[], Body::empty()).await).await;
    assert_eq!((status, body.len()), (200, 0));
    // The tag is that of the answer to `GET`, and a caller that has it gets 304.
    let (_, of_get, _) = read(api.send("GET", "/api/v1/runs", &[], Body::empty()).await).await;
    let (_, of_head, _) = read(api.send("HEAD", "/api/v1/runs", &[], Body::empty()).await).await;
    assert_eq!(of_get["etag"], of_head["etag"]);
    let known = [("if-none-match", of_get["etag"].to_str().unwrap())];
    let (status, _, body) = read(api.send("HEAD", "/api/v1/runs", &known, Body::empty()).await).await;
    assert_eq!((status, body.len()), (304, 0));
    // An answer that would be compressed is no empty one.
    let (_, headers, _) =
        read(api.send("HEAD", "/api/openapi.json", &[("accept-encoding", "gzip")], Body::empty()).await)
            .await;
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    assert!(length > 100_000 && !headers.contains_key("content-encoding"), "{headers:?}");
    let (status, headers, _) = read(api.send("OPTIONS", "/api/v1/runs", &[], Body::empty()).await).await;
    assert_eq!((status, headers["allow"].to_str().unwrap()), (204, "GET,HEAD,POST"));
    let (status, headers, _) = read(api.send("PATCH", "/api/v1/runs", &[], Body::empty()).await).await;
    assert_eq!((status, headers["allow"].to_str().unwrap()), (405, "GET,HEAD,POST"));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_as_a_problem_that_says_what_was_meant() {
    let api = Api::new();
    let run = api.ran().await;
    let notes = format!("/api/v1/runs/{run}/notes");
    let deep = format!("{{\"input\": {}", "[".repeat(100_000)).into_bytes();
    let form: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];
    #[allow(clippy::type_complexity, reason = "a table")]
    let cases: Vec<(&str, String, &[(&str, &str)], Vec<u8>, u16, &str, Option<&str>)> = vec![
        (
            "POST",
            notes.clone(),
            form,
            b"text=x".to_vec(),
            415,
            "EF0227",
            Some("send `Content-Type: application/json`"),
        ),
        (
            "POST",
            notes.clone(),
            &[("content-type", "text/json; charset=utf-8")],
            b"{}".to_vec(),
            415,
            "EF0227",
            None,
        ),
        ("POST", notes.clone(), &[], b"{\"text\": \"\xff\"}".to_vec(), 400, "EF0210", None),
        ("POST", "/api/v1/runs".into(), &[], deep, 400, "EF0210", None),
        (
            "POST",
            notes.clone(),
            &[],
            b"{\"txt\": \"x\"}".to_vec(),
            422,
            "EF0211",
            Some("did you mean “text”?"),
        ),
        ("POST", notes, &[], b"[\"x\"]".to_vec(), 422, "EF0211", None),
        ("POST", "/api/v1/runs".into(), &[], "[".repeat(100_000).into_bytes(), 400, "EF0210", None),
        (
            "GET",
            "/api/v1/runs?sttus=x".into(),
            &[],
            Vec::new(),
            422,
            "EF0211",
            Some("did you mean “status”?"),
        ),
        ("GET", "/api/v1/runs?limit=many".into(), &[], Vec::new(), 422, "EF0211", None),
        ("GET", "/api/v1/runs/%ff".into(), &[], Vec::new(), 400, "EF0210", None),
        ("GET", "/api/v1/runs/@/attempts/a/x/1/log".into(), &[], Vec::new(), 400, "EF0210", None),
        ("GET", format!("/api/v1/runs/{run}/events?cursor=-"), &[], Vec::new(), 422, "EF0211", None),
        ("GET", "/api/v1/runs?q=%ff".into(), &[], Vec::new(), 400, "EF0210", None),
        ("GET", "/api/v1/hooks?limit=1001".into(), &[], Vec::new(), 422, "EF0211", None),
        ("GET", format!("/api/v1/runs/{run}/events/stream?from=999"), &[], Vec::new(), 404, "EF0215", None),
        ("GET", "/api/other.js".into(), &[], Vec::new(), 404, "EF0207", None),
    ];
    for (method, path, headers, body, status, code, hint) in cases {
        let (seen, headers, answer) = read(api.send(method, &path, headers, Body::from(body)).await).await;
        let problem: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((seen, problem["code"].as_str()), (status, Some(code)), "{method} {path}: {problem}");
        assert_eq!(headers["content-type"], "application/problem+json", "{method} {path}");
        if hint.is_some() {
            assert_eq!(problem["hint"].as_str(), hint, "{method} {path}: {problem}");
        }
    }
    // A place at the end of all numbers is none.
    let (_, _, health) = read(api.send("GET", "/healthz", &[], Body::empty()).await).await;
    let health: Value = serde_json::from_slice(&health).unwrap();
    let id = format!("{}-{}", health["epoch"].as_str().unwrap(), u64::MAX);
    for path in ["/api/v1/stream".to_owned(), format!("/api/v1/runs/{run}/events/stream")] {
        let (status, _, _) =
            read(api.send("GET", &path, &[("last-event-id", &id)], Body::empty()).await).await;
        assert_eq!(status, 422, "{path}");
    }
    let vendor = [("content-type", "application/vnd.x+json")];
    let note = api
        .send("POST", &format!("/api/v1/runs/{run}/notes"), &vendor, Body::from("{\"text\": \"x\"}"))
        .await;
    assert_ne!(note.status(), 415);
}

#[tokio::test]
async fn events_are_exported_in_lines_with_the_stored_bytes() {
    let api = Api::new();
    let run = api.ran().await;
    let lines = |body: Bytes| -> Vec<Value> {
        let text = String::from_utf8(body.to_vec()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let accept = [("accept", "application/x-ndjson")];
    let (_, headers, body) = api.get(&format!("/api/v1/runs/{run}/events?from=2"), &accept).await;
    assert_eq!(headers["content-type"], "application/x-ndjson");
    let own = lines(body);
    let (_, _, body) = api.get(&format!("/api/v1/runs/{run}/events?limit=1000"), &[]).await;
    let page: Value = serde_json::from_slice(&body).unwrap();
    let page = page["items"].as_array().unwrap();
    assert_eq!(own.len() + 1, page.len());
    assert_eq!((&own[0]["version"], &own[0]["hash"]), (&json!(2), &page[1]["hash"]));
    assert!(own.iter().all(|line| line["raw"].is_string() && line["event"]["type"].is_string()));
    let (_, _, body) = api.get("/api/v1/events", &[]).await;
    let all = lines(body);
    let positions: Vec<u64> = all.iter().map(|line| line["position"].as_u64().unwrap()).collect();
    let last = api.held.node().store().last_position().get();
    assert_eq!(positions, (1..=last).collect::<Vec<_>>());
    let (_, _, body) = api.get(&format!("/api/v1/events?from={last}"), &[]).await;
    assert_eq!(lines(body).len(), 1);
    for way in ["identity", "gzip", "zstd"] {
        let end = format!("/api/v1/events?from={}", last + 1);
        assert_eq!(api.get(&end, &[("accept-encoding", way)]).await.0, 200, "{way}");
    }
}

#[tokio::test]
async fn the_form_of_events_goes_by_the_weights_of_accept_and_vary_says_so() {
    let api = Api::new();
    let run = api.ran().await;
    let events = format!("/api/v1/runs/{run}/events");
    for (accept, kind) in [
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/json;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("application/json, application/x-ndjson;q=0.5", "application/json"),
        ("application/x-ndjson;q=0, application/json", "application/json"),
    ] {
        let (_, headers, _) = api.get(&events, &[("accept", accept)]).await;
        assert_eq!(headers["content-type"], kind, "{accept}");
        assert!(varies_by(&headers).contains("accept"), "{accept}: {headers:?}");
    }
    let (_, headers, _) = api.get(&events, &[]).await;
    assert!(["accept", "authorization", "cookie"].iter().all(|name| varies_by(&headers).contains(*name)));
}

#[tokio::test]
async fn a_log_is_private_and_varies_with_what_is_accepted() {
    let api = Api::new();
    let run = api.ran().await;
    let folder = api.held.node().layout().attempts(run.parse().unwrap()).join("a-r1-a1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("log"), "1000 O one\n").unwrap();
    let log = format!("/api/v1/runs/{run}/attempts/a/1/1/log");
    for (accept, kept) in [("text/plain", "private, no-cache"), ("text/event-stream", "no-store")] {
        let (status, headers, body) = api.get(&log, &[("accept", accept)]).await;
        assert_eq!(status, 200, "{accept}: {body:?}");
        assert_eq!(headers["cache-control"], kept, "{accept}");
        assert!(varies_by(&headers).contains("accept"), "{accept}: {headers:?}");
    }
}

/// The headers that an answer names in `Vary`.
fn varies_by(headers: &HeaderMap) -> BTreeSet<String> {
    let values = headers.get_all("vary").iter().flat_map(|value| value.to_str().unwrap().split(','));
    values.map(|name| name.trim().to_owned()).collect()
}

/// Once the answer was that the run goes on without the worker, and the worker dropped what it had done.
#[tokio::test]
async fn a_worker_keeps_what_nobody_can_judge_at_this_moment() {
    let api = Api::new();
    let owner = api.held.node();
    let run: RunId = "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap();
    let stream = StreamId::run(run);
    let header = EventHeader {
        stream: stream.clone(),
        version: Version::FIRST,
        recorded_at: Timestamp(0),
        actor: Actor::Engine,
        cause: Cause { input: InputId::derive("a newer one's"), because: Version::ZERO },
        kind: u16::MAX,
        schema: 1,
        flags: 0,
        payload_hash: Hash::ZERO,
    };
    let unreadable = Append {
        stream,
        expected: Version::ZERO,
        previous: Hash::ZERO,
        events: vec![NewEvent::link(header, b"?".to_vec(), &Hash::ZERO)],
        dedup: None,
        fence: None,
        note: StreamNote { open: true, busy: true, wake_at: None },
    };
    owner.store().append(unreadable).await.unwrap();
    let id = EffectId { run, attempt: "deploy/1/1".parse().unwrap() };
    let folder = owner.layout().attempt(&id);
    std::fs::create_dir_all(&folder).unwrap();
    let lease = json!({ "lease": "l", "worker": "user:ada", "taken_at": "2026-01-05T00:00:00Z" });
    std::fs::write(folder.join("lease.json"), lease.to_string()).unwrap();
    let said = [("heartbeat", json!({ "lease": "l" })), ("complete", json!({ "lease": "l", "output": 1 }))];
    for (verb, body) in said {
        let path = format!("/api/v1/workers/attempts/{run}:deploy:1:1/{verb}");
        let (status, headers, body) =
            read(api.send("POST", &path, &[], Body::from(body.to_string())).await).await;
        assert_eq!(status, 503, "{verb}: {}", String::from_utf8_lossy(&body));
        assert!(headers.contains_key("retry-after"), "{verb}");
        let said = String::from_utf8_lossy(&body);
        assert!(said.contains("set aside"), "{verb}: {said}");
    }
}

/// A served folder whose settings leave `deploy.canary` to workers.
async fn of_workers() -> Api {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("everfold.toml");
    let function = "[workers.functions.\"deploy.canary\"]\nsummary = \"Deploys.\"\n";
    std::fs::write(&config, format!("{function}output = {{ type = \"object\" }}\n")).unwrap();
    let supervisor = everfold_workflows::process::ShimProgram::at(std::path::Path::new("everfold"));
    let options = node::HoldOptions {
        config: Some(config),
        supervisor: Some(supervisor),
        ..node::HoldOptions::default()
    };
    let held = serve::hold(Layout::new(folder.path().join("data")), options).await.unwrap();
    Api { held, _folder: folder }
}

async fn post(api: &Api, path: &str, body: Value) -> (u16, Value) {
    let (status, _, body) = read(api.send("POST", path, &[], Body::from(body.to_string())).await).await;
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn each_report_of_a_message_has_an_answer_of_its_own_and_the_whole_may_be_repeated() {
    let api = of_workers().await;
    let step = |id: &str| format!("  - {{ id: {id}, needs: [], function: deploy.canary, on_fail: block }}\n");
    let definition = format!("name: deploy\nsteps:\n{}{}{}", step("a"), step("b"), step("c"));
    let (status, run) = post(&api, "/api/v1/runs", json!({ "definition": definition })).await;
    assert_eq!(status, 201, "{run}");
    let mut jobs: Vec<Value> = Vec::new();
    while jobs.len() < 3 {
        let poll = json!({ "kinds": ["deploy.canary"], "capacity": 3, "wait": 30, "instance": "one" });
        let (_, polled) = post(&api, "/api/v1/workers/poll", poll).await;
        jobs.extend(polled["attempts"].as_array().unwrap().iter().cloned());
    }
    jobs.sort_by_key(|job| job["step"].as_str().unwrap().to_owned());
    let of = |job: &Value, rest: Value| {
        let mut report = json!({ "id": job["id"], "lease": job["lease"] });
        report.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        report
    };
    let reports = json!({ "instance": "one", "reports": [
        of(&jobs[0], json!({ "output": { "n": 1 } })),
        { "id": jobs[1]["id"], "lease": "another", "output": {} },
        { "id": "no attempt", "lease": "x" },
        of(&jobs[2], json!({ "failure": { "message": "unhealthy", "code": "HEALTH" } })),
        of(&jobs[1], json!({ "output": {}, "failure": { "message": "both" } })),
        of(&jobs[1], json!({ "failure": { "message": "late", "code": "timeout" } })),
        of(&jobs[1], json!({ "output": { "text": "x".repeat(1_100_000) } })),
    ] });
    let (status, answer) = post(&api, "/api/v1/workers/reports", reports.clone()).await;
    assert_eq!(status, 200, "{answer}");
    let outcome = |answer: &Value| -> Vec<(Option<bool>, Option<u64>)> {
        let of = |one: &Value| (one["repeated"].as_bool(), one["problem"]["status"].as_u64());
        answer["reports"].as_array().unwrap().iter().map(of).collect()
    };
    let refused = |status: u64| (None, Some(status));
    let wanted = |repeated: bool| {
        let kept = (Some(repeated), None);
        [kept, refused(409), refused(422), kept, refused(422), refused(422), refused(413)]
    };
    assert_eq!(outcome(&answer), wanted(false), "{answer}");
    assert_eq!(answer["reports"][0]["id"], jobs[0]["id"]);
    assert_eq!(answer["reports"][1]["problem"]["code"], "EF0620");
    // Its answer was lost: what was kept is a repeat, what was refused is refused as before.
    let (_, again) = post(&api, "/api/v1/workers/reports", reports).await;
    assert_eq!(outcome(&again), wanted(true), "{again}");
    let path = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
    let (_, _, view) = api.get(&path, &[]).await;
    let view: Value = serde_json::from_slice(&view).unwrap();
    let status = |step: usize| view["steps"][step]["status"].as_str().unwrap().to_owned();
    assert_eq!([0, 1, 2].map(status), ["succeeded", "running", "blocked"], "{view}");
    for wrong in
        [json!({ "reports": [] }), json!({ "reports": vec![json!({ "id": "x", "lease": "x" }); 101] })]
    {
        assert_eq!(post(&api, "/api/v1/workers/reports", wrong).await.0, 422);
    }
    api.held.release().await;
}

/// A worker that heard of it with its next heartbeat had used up the step's grace by then.
#[tokio::test]
async fn a_heartbeat_that_waits_is_answered_as_soon_as_its_attempt_is_to_end() {
    let api = of_workers().await;
    let definition = "name: deploy\nsteps: [{ id: canary, function: deploy.canary, on_fail: block }]\n";
    let poll = json!({ "kinds": ["deploy.canary"], "wait": 30 });
    for (way, then) in [("cancel", "cancelled"), ("interrupt", "paused")] {
        let (status, run) = post(&api, "/api/v1/runs", json!({ "definition": definition })).await;
        assert_eq!(status, 201, "{run}");
        let (_, jobs) = post(&api, "/api/v1/workers/poll", poll.clone()).await;
        let job = &jobs["attempts"][0];
        let attempt = format!("/api/v1/workers/attempts/{}", job["id"].as_str().unwrap());
        let beat = |wait: &str| format!("{attempt}/heartbeat?wait={wait}");
        let lease = json!({ "lease": job["lease"] });
        let (status, reply) = post(&api, &beat("20ms"), lease.clone()).await;
        assert_eq!((status, &reply["cancel"]), (200, &json!(false)), "{reply}");
        for wrong in ["61s", "soon", "-1s"] {
            assert_eq!(post(&api, &beat(wrong), lease.clone()).await.0, 422, "{wrong}");
        }
        let run = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
        let stop = async {
            let (status, answer) = post(&api, &format!("{run}/{way}"), json!({})).await;
            assert_eq!(status, 200, "{answer}");
        };
        // In turns, so that the heartbeat waits when the stop comes.
        let path = beat("60s");
        let (heard, ()) = tokio::join!(post(&api, &path, lease.clone()), stop);
        assert_eq!((heard.0, &heard.1["cancel"]), (200, &json!(true)), "{heard:?}");
        let failure = json!({ "lease": job["lease"], "failure": { "message": "it stopped" } });
        assert_eq!(post(&api, &format!("{attempt}/fail"), failure).await.0, 200);
        loop {
            let (_, _, view) = api.get(&run, &[]).await;
            let view: Value = serde_json::from_slice(&view).unwrap();
            if view["status"] == then {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    api.held.release().await;
}

/// It heard that the attempt had succeeded.
#[tokio::test]
async fn a_worker_whose_output_was_refused_by_its_schema_is_told_so_when_it_reports_again() {
    let api = of_workers().await;
    let send = async |path: &str, body: Value| post(&api, path, body).await;
    let definition = "name: deploy\nsteps: [{ id: canary, function: deploy.canary, on_fail: block }]\n";
    let (status, run) = send("/api/v1/runs", json!({ "definition": definition })).await;
    assert_eq!(status, 201, "{run}");
    let poll = json!({ "kinds": ["deploy.canary"], "wait": 30 });
    let (_, jobs) = send("/api/v1/workers/poll", poll).await;
    let job = &jobs["attempts"][0];
    let report = format!("/api/v1/workers/attempts/{}/complete", job["id"].as_str().unwrap());
    let output = |output: Value| json!({ "lease": job["lease"], "output": output });
    assert_eq!(send(&report, output(json!("no object"))).await.0, 200);
    let path = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
    let blocked = async {
        loop {
            let (_, _, view) = api.get(&path, &[]).await;
            if serde_json::from_slice::<Value>(&view).unwrap()["status"] == "blocked" {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), blocked)
        .await
        .expect("the run comes to be blocked");
    let (status, problem) = send(&report, output(json!({ "right": true }))).await;
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!(status, 409, "{problem}");
    assert!(!detail.contains("succeeded"), "{detail}");
    assert!(detail.contains("another report") && detail.contains("the attempt failed: "), "{detail}");
    assert_eq!(send(&report, output(json!("no object"))).await.0, 200, "the same report is a repeat");
    api.held.release().await;
}

//! Pages of lists and their cursors, moments of the past, and values that no route takes.

use axum::body::Body;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixtures::in_memory::{Api, read};
use crate::fixtures::server::Served;

const ASKS: &str = "name: asks\nsteps: [{ id: ok, approval: { title: Right? } }]\n";

impl Api {
    async fn asks(&self, more: Value) -> String {
        let mut body = json!({ "definition": ASKS });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, run) = self.post("/api/v1/runs", body).await;
        assert_eq!(status, 201, "{run}");
        let run = run["id"].as_str().unwrap().to_owned();
        self.until(&run, "waiting").await;
        run
    }

    async fn listed(&self, query: &str) -> Vec<Value> {
        let position = self.held.node().store().last_position();
        let (status, page) = self.get(&format!("/api/v1/runs?min_position={position}&{query}")).await;
        assert_eq!(status, 200, "{query}: {page}");
        page["items"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_page_of_large_events_ends_early_with_a_cursor_and_none_is_left_out() {
    let api = Api::new();
    let run = api.asks(json!({})).await;
    // Each control character takes six bytes in an answer.
    let text = "\u{1}".repeat(60_000);
    for _ in 0..30 {
        let (status, _) = api.post(&format!("/api/v1/runs/{run}/notes"), json!({ "text": text })).await;
        assert_eq!(status, 200);
    }
    let (mut versions, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let path = format!("/api/v1/runs/{run}/events?limit=1000{cursor}");
        let (status, page) = api.get(&path).await;
        assert_eq!(status, 200, "{page}");
        assert!(page.to_string().len() < 6 * 1024 * 1024, "a page has about 4 MiB");
        versions
            .extend(page["items"].as_array().unwrap().iter().map(|event| event["version"].as_u64().unwrap()));
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(pages > 1, "all fit into one");
    let last = *versions.last().unwrap();
    assert!(last > 30);
    assert_eq!(versions, (1..=last).collect::<Vec<_>>());
    let (_, exact) = api.get(&format!("/api/v1/runs/{run}/events?limit={}", 3)).await;
    assert_eq!((exact["items"].as_array().unwrap().len(), exact["next_cursor"].is_string()), (3, true));
}

#[tokio::test]
async fn a_past_position_says_what_was_asked_then_and_a_later_one_than_the_last_is_refused() {
    let api = Api::new();
    api.asks(json!({})).await;
    let then = api.held.node().store().last_position().get();
    api.asks(json!({})).await;
    let now = api.held.node().store().last_position().get();
    for (query, open) in [
        (format!("min_position={now}"), 2),
        (format!("min_position={now}&at={now}"), 2),
        (format!("min_position={now}&at={then}"), 1),
        (format!("min_position={now}&at=0"), 0),
    ] {
        let (status, stats) = api.get(&format!("/api/v1/stats?{query}")).await;
        assert_eq!((status, &stats["open_tasks"]), (200, &json!(open)), "{query}: {stats}");
    }
    for route in ["stats", "board", "runs", "inbox"] {
        let (status, problem) = api.get(&format!("/api/v1/{route}?at={}", now + 1_000)).await;
        assert_eq!((status, &problem["code"]), (404, &json!("EF0215")), "{route}: {problem}");
    }
}

#[tokio::test]
async fn labels_and_words_are_found_whatever_signs_they_hold() {
    let api = Api::new();
    api.asks(json!({ "title": "a 💩 #12", "labels": { "a:b": "c", "k": "x,y", "url": "http://h:1" } })).await;
    api.asks(json!({ "title": "other", "labels": { "k": "x" } })).await;
    for query in [
        r"label=a%5C:b:c",
        r"label=a%5C:b",
        r"label=k:x%5C,y",
        "label=url:http://h:1",
        r"label=k:x%5C,y,a%5C:b:c",
        "q=%F0%9F%92%A9",
        "q=%231",
        "q=%2312",
        "q=12",
    ] {
        let found = api.listed(query).await;
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        assert_eq!(found[0]["title"], "a 💩 #12", "{query}");
    }
    assert_eq!(api.listed("label=k:x,y").await.len(), 0, "two labels");
    assert_eq!(api.listed("q=%F0%9F%98%80").await.len(), 0, "another emoji");
}

#[tokio::test]
async fn a_cursor_goes_on_in_its_own_list_and_order_alone() {
    let api = Api::new();
    for _ in 0..3 {
        api.asks(json!({})).await;
    }
    let position = api.held.node().store().last_position();
    let (_, page) = api.get(&format!("/api/v1/runs?limit=1&min_position={position}")).await;
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(api.listed(&format!("limit=5&cursor={cursor}")).await.len(), 2);
    for path in [
        "runs?sort=started&",
        "runs?sort=-ended&",
        "runs?sort=-cost&",
        "inbox?",
        "audit/gates?",
        "audit/decisions?",
        "hooks?",
    ] {
        let (status, problem) = api.get(&format!("/api/v1/{path}cursor={cursor}")).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{path}: {problem}");
    }
}

/// A cursor of one run's events went on in another run's, and one of a list with other filters in between.
#[tokio::test]
async fn a_cursor_goes_on_in_its_own_run_and_with_its_own_filters_alone() {
    let api = Api::new();
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(api.asks(json!({})).await);
    }
    let (_, page) = api.get(&format!("/api/v1/runs/{}/events?limit=1", runs[0])).await;
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let (status, own) = api.get(&format!("/api/v1/runs/{}/events?limit=1&cursor={cursor}", runs[0])).await;
    assert_eq!((status, &own["items"][0]["version"]), (200, &json!(2)));
    let (status, problem) = api.get(&format!("/api/v1/runs/{}/events?cursor={cursor}", runs[1])).await;
    assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("events of another run"), "{problem}");
    let position = api.held.node().store().last_position();
    let (_, page) = api.get(&format!("/api/v1/runs?limit=1&min_position={position}")).await;
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let [top, parent] = ["top", "parent"].map(|name| format!("{name}={}", runs[0]));
    for filter in
        ["status=failed", "pipeline=other", "q=words", "awaiting=lead", "label=team:a", &top, &parent]
    {
        let (status, problem) = api.get(&format!("/api/v1/runs?{filter}&cursor={cursor}")).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{filter}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("with other filters"), "{filter}: {problem}");
    }
}

#[tokio::test]
async fn values_that_the_document_does_not_allow_are_refused() {
    let api = Api::new();
    let long = "0".repeat(2_000);
    for (path, body, code) in [
        ("signals/x", json!({ "delivery": long, "labels": { "no": "run" } }), "EF0209"),
        ("signals/x", json!({ "delivery": long, "key": "no run" }), "EF0209"),
        ("hooks/zz/deliveries", json!({ "body": "{}", "id": "" }), "EF0211"),
        ("hooks/zz/deliveries", json!({ "body": "{}", "id": "a\nb" }), "EF0211"),
        ("tokens", json!({ "name": "q", "role": "viewer", "expires_in": "4000d" }), "EF0211"),
    ] {
        let (_, problem) = api.post(&format!("/api/v1/{path}"), body).await;
        assert_eq!(problem["code"], code, "{path}: {problem}");
        if path == "tokens" {
            assert!(problem["detail"].as_str().unwrap().contains("at most 3650d"), "{problem}");
        }
    }
    for query in ["status=", "status=waiting,", "started_after=2026-11-22T07:50:00%2B25:00"] {
        let (status, problem) = api.get(&format!("/api/v1/runs?{query}")).await;
        assert_eq!(status, 422, "{query}: {problem}");
    }
    let zipped = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let (status, problem) = read(api.send("POST", "/api/v1/runs", &zipped, Body::from("x")).await).await;
    assert_eq!(status, 415, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("gzip"), "{problem}");
}

#[tokio::test]
async fn a_task_that_was_never_asked_is_not_called_withdrawn() {
    let api = Api::new();
    let run = api.asks(json!({})).await;
    for place in ["1.9", "2"] {
        let (_, problem) =
            api.post(&format!("/api/v1/inbox/{run}:ok:{place}"), json!({ "decision": "approve" })).await;
        assert_ne!(problem["code"], "EF0303", "{place}: {problem}");
    }
    let (status, view) =
        api.post(&format!("/api/v1/inbox/{run}:ok:1"), json!({ "decision": "approve" })).await;
    assert_eq!(status, 200, "{view}");
}

#[tokio::test]
async fn a_sender_is_not_told_where_the_secret_of_a_hook_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let settings = "[hooks.x]\nreader = \"github\"\nsecret = { env = \"EVERFOLD_TEST_OF_NO_SECRET\" }\n";
    std::fs::write(data.join("everfold.toml"), settings).unwrap();
    let held = everfold_api::serve::imagine(everfold_engine::data_folder::Layout::new(data)).unwrap();
    let request = axum::http::Request::post("/api/v1/hooks/x")
        .extension(everfold_api::access::Caller::local("ada"))
        .header("x-hub-signature-256", format!("sha256={}", "0".repeat(64)))
        .header("x-github-event", "push");
    let answer =
        tower::ServiceExt::oneshot(held.routes(), request.body(Body::from("{}")).unwrap()).await.unwrap();
    let (status, problem) = read(answer).await;
    assert_eq!(status, 422, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("the secret of this source cannot be read"),
        "{problem}"
    );
    assert!(!problem.to_string().contains("EVERFOLD_TEST_OF_NO_SECRET"), "{problem}");
}

/// Sends bytes and reads the answer to its end.
async fn raw(served: &Served, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.server.url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_that_is_refused_before_the_routes_is_answered_with_a_problem() {
    let served = Served::new(|_| ()).await;
    let long = format!("GET /api/v1/runs?q={} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(70_000));
    let many: String = (0..150).map(|number| format!("x-{number}: 1\r\n")).collect();
    let many = format!("GET /api/v1/runs HTTP/1.1\r\nhost: localhost\r\n{many}\r\n");
    for (request, status, code) in [
        (long.as_bytes(), "431", "EF0235"),
        (many.as_bytes(), "431", "EF0235"),
        (b"POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: -2\r\n\r\n{}", "400", "EF0210"),
        (b"GET /api/v1/runs?q=\xff HTTP/1.1\r\nhost: localhost\r\n\r\n", "400", "EF0210"),
        (b"nonsense\r\n\r\n", "400", "EF0210"),
    ] {
        let answer = raw(&served, request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains("application/problem+json") && head.contains("x-request-id: "), "{head}");
        let problem: Value = serde_json::from_str(body).unwrap();
        assert_eq!((problem["code"].as_str(), problem["status"].to_string().as_str()), (Some(code), status));
    }
    // What the routes refuse is theirs.
    let answer = raw(&served, b"GET /nowhere HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.matches("HTTP/1.1").count() == 1, "{answer}");
}

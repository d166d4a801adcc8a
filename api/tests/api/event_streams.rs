//! Streams: they go on where they were left, and say so where they end.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use everfold_api::access::Caller;
use everfold_engine::actor::Actor;
use everfold_engine::tokens::Role;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::fixtures::in_memory::Api;
use crate::fixtures::server::Served;

/// The versions of a stream up to its end, or so many of them.
async fn versions(response: Response<Body>, most: usize) -> Vec<u64> {
    let (mut body, mut text, mut seen) = (response.into_body(), String::new(), Vec::new());
    while seen.len() < most {
        let Some(frame) = body.frame().await else { break };
        let bytes: Bytes = frame.unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&bytes).unwrap());
        seen = text
            .lines()
            .filter_map(|line| line.strip_prefix("id: ")?.rsplit_once('-')?.1.parse().ok())
            .collect();
    }
    seen
}

#[tokio::test]
async fn s13_a_stream_goes_on_behind_the_last_event_id_and_ends_with_the_run() {
    let api = Arc::new(Api::new());
    let run = api.asking().await;
    let path = format!("/api/v1/runs/{run}/events/stream");
    let first = versions(api.send("GET", &path, &[], Body::empty()).await, 3).await;
    assert_eq!(first[..3], [1, 2, 3]);
    let (_, health) = api.get("/healthz").await;
    let id = format!("{}-3", health["epoch"].as_str().unwrap());
    let rest = api.send("GET", &path, &[("last-event-id", &id)], Body::empty()).await;
    let rest = tokio::spawn(versions(rest, usize::MAX));
    assert_eq!(
        api.post(&format!("/api/v1/inbox/{}", &run[28..]), json!({ "decision": "approve" })).await.0,
        200
    );
    let rest = tokio::time::timeout(std::time::Duration::from_secs(30), rest).await.unwrap().unwrap();
    let last = api.until(&run, "succeeded").await["version"].as_u64().unwrap();
    assert_eq!(rest, (4..=last).collect::<Vec<_>>());
    let foreign = api.send("GET", &path, &[("last-event-id", "feed-3")], Body::empty()).await;
    assert_eq!(foreign.status(), 422, "an id of another copy of the store");
}

/// The next event of a stream: id, name, data.
async fn next_event(body: &mut Body, rest: &mut String) -> Option<(Option<String>, String, Value)> {
    loop {
        while let Some(end) = rest.find("\n\n") {
            let chunk: String = rest.drain(..end + 2).collect();
            let field =
                |name: &str| chunk.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(name) = field("event: ") {
                let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
                return Some((field("id: "), name, data));
            }
        }
        let frame = body.frame().await?.unwrap();
        rest.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
}

#[tokio::test]
async fn the_stream_of_everything_is_gone_on_with_without_a_gap_or_a_repetition() {
    let api = Api::new();
    let response = api.send("GET", "/api/v1/stream?types=RunStarted,RunSucceeded", &[], Body::empty()).await;
    let (mut body, mut rest) = (response.into_body(), String::new());
    let (ready_id, name, ready) = next_event(&mut body, &mut rest).await.unwrap();
    assert_eq!((name.as_str(), &ready["position"]), ("ready", &json!(0)));
    let definition = "name: one\nsteps:\n  - { id: a, function: everfold.noop }\n";
    for _ in 0..3 {
        assert_eq!(api.post("/api/v1/runs", json!({ "definition": definition })).await.0, 201);
    }
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(next_event(&mut body, &mut rest).await.unwrap());
    }
    drop(body);
    // The reader lost the connection; it goes on behind what it has seen.
    let last = seen.last().unwrap().0.clone().unwrap();
    let path = "/api/v1/stream?types=RunStarted,RunSucceeded";
    let response = api.send("GET", path, &[("last-event-id", &last)], Body::empty()).await;
    let (mut body, mut rest) = (response.into_body(), String::new());
    assert_eq!(next_event(&mut body, &mut rest).await.unwrap().1, "ready");
    for _ in 0..4 {
        seen.push(next_event(&mut body, &mut rest).await.unwrap());
    }
    let positions: Vec<u64> = seen.iter().map(|(_, _, event)| event["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted_by(|one, other| one < other), "{positions:?}");
    let types = |wanted: &str| seen.iter().filter(|(_, _, event)| event["event"]["type"] == wanted).count();
    assert_eq!((types("RunStarted"), types("RunSucceeded")), (3, 3));

    // From the very beginning, also with the id of `ready`.
    let id = ready_id.unwrap();
    let response = api.send("GET", path, &[("last-event-id", &id)], Body::empty()).await;
    let (mut body, mut rest) = (response.into_body(), String::new());
    next_event(&mut body, &mut rest).await.unwrap();
    let (_, _, first) = next_event(&mut body, &mut rest).await.unwrap();
    assert_eq!(first["position"].as_u64().unwrap(), positions[0]);

    let (status, problem) = api.get("/api/v1/stream?types=RunStartd").await;
    assert_eq!((status, &problem["hint"]), (422, &json!("did you mean `RunStarted`?")));
    assert_eq!(api.get("/api/v1/stream?from=99999").await.0, 404);
}

#[tokio::test]
async fn a_stream_says_where_to_go_on_when_the_owner_ends() {
    let api = Api::new();
    let response = api.send("GET", "/api/v1/stream", &[], Body::empty()).await;
    let (mut body, mut rest) = (response.into_body(), String::new());
    let (id, _, _) = next_event(&mut body, &mut rest).await.unwrap();
    api.held.node().begin_closing();
    let (_, name, end) = next_event(&mut body, &mut rest).await.unwrap();
    assert_eq!((name.as_str(), &end["last_event_id"]), ("end", &json!(id)));
    assert!(next_event(&mut body, &mut rest).await.is_none());
}

/// Readers that take nothing used to cost a server whatever their number was.
#[tokio::test]
async fn a_token_whose_readers_take_nothing_gets_no_further_stream_until_they_are_gone() {
    let served = Served::new(|_| {}).await;
    let caller = |name: &str| Caller {
        actor: Actor::Token(name.to_owned()),
        role: Some(Role::Operator),
        ..Caller::anonymous()
    };
    for name in ["a", "b"] {
        served.token_of(name, Role::Operator, None).await;
    }
    let send = async |name: &str, method: &str, path: &str, body: Value| {
        let request = Request::builder().method(method).uri(path).extension(caller(name));
        served.held.routes().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap()
    };
    let definition = "name: long\nsteps:\n  - { id: wait, function: everfold.sleep, with: { for: 1h } }\n";
    let started = send("a", "POST", "/api/v1/runs", json!({ "definition": definition })).await;
    let run: Value =
        serde_json::from_slice(&started.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let run = run["id"].as_str().unwrap();
    // More than is queued for one reader.
    for _ in 0..60 {
        let note = json!({ "text": "x".repeat(900) });
        assert_eq!(send("a", "POST", &format!("/api/v1/runs/{run}/notes"), note).await.status(), 200);
    }
    for path in [format!("/api/v1/runs/{run}/events/stream"), "/api/v1/stream?from=1".to_owned()] {
        // Each is fed by a task of its own, so they fill while they are there: more of them than the account has room for.
        let mut unread = Vec::new();
        while unread.len() < 2_500 {
            let answer = send("a", "GET", &path, Value::Null).await;
            if answer.status() != 200 {
                break;
            }
            unread.push(answer.into_body());
        }
        let refusal = async {
            loop {
                let answer = send("a", "GET", &path, Value::Null).await;
                if answer.status() != 200 {
                    return answer;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let refused = tokio::time::timeout(std::time::Duration::from_secs(60), refusal).await;
        let refused = refused.unwrap_or_else(|_| panic!("{path} is never refused"));
        assert!(unread.len() > 500, "{}", unread.len());
        assert!(refused.status() == 503 && refused.headers()["retry-after"] == "1", "{refused:?}");
        let problem: Value =
            serde_json::from_slice(&refused.into_body().collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(problem["code"], "EF0217", "{problem}");
        assert_eq!(send("b", "GET", &path, Value::Null).await.status(), 200, "streams of others begin");
        drop(unread);
        let again = async {
            while send("a", "GET", &path, Value::Null).await.status() != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), again).await.unwrap();
    }
}

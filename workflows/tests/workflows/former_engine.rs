//! A worker before an engine that does not know all that it says.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use everfold_base::json::Value;
use everfold_workflows::function::{Call, Function, StepError};
use everfold_workflows::remote::Worker;
use serde_json::json;
use tokio_util::sync::CancellationToken;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

async fn done(_call: Call, _nothing: Nothing) -> Result<Value, StepError> {
    Ok(json!("done"))
}

/// Which fields each poll had.
type Polls = Arc<Mutex<Vec<Vec<String>>>>;

/// As 0.1.0 answers: fields that it does not know are refused. The second poll that it takes ends the test.
async fn poll(State(polls): State<Polls>, Json(body): Json<Value>) -> impl IntoResponse {
    let fields: Vec<String> = body.as_object().unwrap().keys().cloned().collect();
    let problem = |code: &str, detail: &str| Json(json!({ "code": code, "detail": detail }));
    let is_known = !fields.iter().any(|field| field == "holds");
    polls.lock().unwrap().push(fields);
    match is_known {
        false => (
            StatusCode::UNPROCESSABLE_ENTITY,
            problem(
                "EF0211",
                "unknown field `holds`, expected one of `kinds`, `capacity`, `wait`, `instance`",
            ),
        ),
        true => (StatusCode::UNAUTHORIZED, problem("EF0601", "the token was revoked")),
    }
}

#[tokio::test]
async fn a_worker_works_for_an_engine_that_does_not_ask_what_it_holds() {
    let polls = Polls::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/api/v1/workers/poll", post(poll)).with_state(Arc::clone(&polls));
    let engine = tokio::spawn(axum::serve(listener, routes).into_future());
    let worker = Worker::at(&url, "evf_0").function(Function::new("deploy.canary", done)).unwrap();
    let ended = worker.run(CancellationToken::new()).await.unwrap_err().to_string();
    engine.abort();
    assert!(ended.contains("EF0601"), "{ended}");
    let polls = polls.lock().unwrap();
    let says_holds: Vec<bool> = polls.iter().map(|poll| poll.iter().any(|field| field == "holds")).collect();
    assert_eq!(says_holds, [true, false]);
}

const ATTEMPT: &str = "0198c1f0-0000-7000-8000-0000deadbeef:canary:1:1";

/// Gives one attempt, and then refuses the token.
async fn give_one(State(polls): State<Polls>) -> impl IntoResponse {
    let mut polls = polls.lock().unwrap();
    polls.push(Vec::new());
    let job = json!({
        "id": ATTEMPT, "lease": "l", "lease_until": "2030-01-01T00:00:00Z", "lease_seconds": 60.0,
        "function": "deploy.canary", "with": {}, "run": "0198c1f0-0000-7000-8000-0000deadbeef", "step": "canary",
        "round": 1, "attempt": 1, "idempotency_key": "k", "timeout_seconds": null,
    });
    match polls.len() {
        1 => (StatusCode::OK, Json(json!({ "attempts": [job] }))),
        _ => (StatusCode::UNAUTHORIZED, Json(json!({ "code": "EF0601", "detail": "the token was revoked" }))),
    }
}

#[tokio::test]
async fn a_report_goes_by_the_route_of_its_attempt_to_an_engine_that_knows_no_messages_of_several() {
    let reports: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&reports);
    let complete = move |Json(body): Json<Value>| async move {
        kept.lock().unwrap().push(body);
        Json(json!({ "id": ATTEMPT, "repeated": false }))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // `/workers/reports` is no route there: 404.
    let routes = Router::new()
        .route("/api/v1/workers/poll", post(give_one))
        .route(&format!("/api/v1/workers/attempts/{ATTEMPT}/complete"), post(complete))
        .with_state(Polls::default());
    let engine = tokio::spawn(axum::serve(listener, routes).into_future());
    let worker = Worker::at(&url, "evf_0").function(Function::new("deploy.canary", done)).unwrap();
    let ended = worker.run(CancellationToken::new()).await.unwrap_err().to_string();
    engine.abort();
    assert!(ended.contains("EF0601"), "{ended}");
    let reports = reports.lock().unwrap();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!((&reports[0]["lease"], &reports[0]["output"]), (&json!("l"), &json!("done")));
}

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

//! What a run shows of its notices: those that are not sent yet, and those that were given up.

use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

/// Its end is sent to a port without a listener, and by a function with wrong parameters.
fn telling() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    format!(
        "
name: telling
notify:
  - id: page
    events: [RunSucceeded]
    function: notify.http
    with: {{ url: 'http://{at}/hook' }}
  - id: wrong
    events: [RunSucceeded]
    function: notify.http
    with: {{ url: 'ftp://example.org' }}
steps:
  - id: a
    function: everfold.noop
"
    )
}

#[tokio::test]
async fn row_76_an_ended_run_shows_its_notices_with_their_tries_and_why_they_were_not_sent() {
    let api = Api::new();
    let (status, run) = api.post("/api/v1/runs", json!({ "definition": telling() })).await;
    assert_eq!(status, 201, "{run}");
    let id = run["id"].as_str().unwrap().to_owned();
    api.until(&id, "succeeded").await;
    let is_there = |view: &Value| {
        !view["notices"][0]["failing"].is_null() && view["notices_given_up"].as_array().is_some()
    };
    let view = loop {
        let (_, view) = api.get(&format!("/api/v1/runs/{id}")).await;
        if is_there(&view) {
            break view;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&view["status"], &view["notices_outstanding"]), (&json!("succeeded"), &json!(1)), "{view}");
    let page = &view["notices"][0];
    assert_eq!((&page["notice"], &page["channel"]), (&json!("page"), &json!("notice/page")), "{view}");
    assert!(page["tries"].as_u64() > Some(0) && page["next_try_at"].is_string(), "{view}");
    assert!(page["failing"].as_str().unwrap().contains("cannot be reached"), "{view}");
    let wrong = &view["notices_given_up"][0];
    assert_eq!((&wrong["notice"], &wrong["tries"]), (&json!("wrong"), &json!(1)), "{view}");
    assert_eq!((&wrong["event"], &wrong["status"]), (&json!("RunSucceeded"), &json!("dead")), "{view}");
    let (_, state) = api.get(&format!("/api/v1/runs/{id}/state")).await;
    assert_eq!(state["notices_given_up"], view["notices_given_up"]);
    // Sent again in vain, it is lost as before.
    let letter = wrong["id"].as_str().unwrap();
    let (status, retried) = api.post(&format!("/api/v1/notices/{letter}/retry"), json!({})).await;
    assert_eq!(status, 200, "{retried}");
    loop {
        let (_, view) = api.get(&format!("/api/v1/runs/{id}")).await;
        let lost = &view["notices_given_up"][0];
        assert_eq!((&lost["id"], &lost["event"]), (&wrong["id"], &json!("RunSucceeded")), "{view}");
        if (&lost["tries"], &lost["status"]) == (&json!(2), &json!("dead")) {
            break;
        }
        tokio::task::yield_now().await;
    }
    // Dropped, it is no more what the run still has to tell.
    let (status, _) = api.post(&format!("/api/v1/notices/{letter}/drop"), json!({})).await;
    assert_eq!(status, 200);
    let (_, view) = api.get(&format!("/api/v1/runs/{id}")).await;
    assert!(view["notices_given_up"].is_null(), "{view}");
}

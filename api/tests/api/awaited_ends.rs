//! Requests that wait for the end of a run.

use std::time::Duration;

use serde_json::json;

use crate::fixtures::in_memory::Api;

const THREE: &str = "\
name: three
steps:
  - { id: a, function: everfold.noop }
  - { id: b, function: everfold.noop }
  - { id: c, function: everfold.echo, with: { done: true } }
output: ${steps.c.output}
";

#[tokio::test]
async fn the_answer_to_a_start_can_wait_for_the_end() {
    let api = Api::new();
    let (status, run) = api.post("/api/v1/runs?wait=60s", json!({ "definition": THREE })).await;
    assert_eq!(
        (status, &run["status"], &run["output"]),
        (201, &json!("succeeded"), &json!({ "done": true }))
    );
    let path = format!("/api/v1/runs/{}?wait=60s", run["id"].as_str().unwrap());
    let (status, again) = api.get(&path).await;
    assert_eq!((status, &again["status"]), (200, &json!("succeeded")));
}

#[tokio::test]
async fn a_read_waits_for_the_end_that_a_decision_brings() {
    let api = Api::new();
    let run = api.asking().await;
    let path = format!("/api/v1/runs/{run}?wait=60s");
    let decides = async {
        // The read is on its way by then, and many more of the same caller.
        let (_, inbox) = api.get("/api/v1/inbox").await;
        let task = inbox["items"][0]["id"].as_str().unwrap().replace('/', "%2F");
        let (status, answer) =
            api.post(&format!("/api/v1/inbox/{task}"), json!({ "decision": "approve" })).await;
        assert_eq!(status, 200, "{answer}");
    };
    // More than may wait for a turn at a read: they were let in before.
    let waits = futures::future::join_all((0..1_200).map(|_| api.get(&path)));
    let (ended, ()) = tokio::join!(waits, decides);
    for (status, view) in ended {
        assert_eq!((status, &view["status"]), (200, &json!("succeeded")));
    }
}

#[tokio::test]
async fn who_waited_long_enough_is_told_how_the_run_is_now() {
    let api = Api::new();
    let run = api.asking().await;
    let (status, view) = api.get(&format!("/api/v1/runs/{run}?wait=1ms")).await;
    assert_eq!((status, &view["status"]), (200, &json!("waiting")));
}

#[tokio::test]
async fn a_server_that_ends_answers_who_waits() {
    let api = Api::new();
    let run = api.asking().await;
    let path = format!("/api/v1/runs/{run}?wait=60s");
    let ends = async {
        tokio::task::yield_now().await;
        api.held.node().begin_closing();
    };
    let both = async { tokio::join!(api.get(&path), ends) };
    let ((status, view), ()) = tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
    assert_eq!((status, &view["status"]), (200, &json!("waiting")));
}

#[tokio::test]
async fn a_time_that_is_none_or_too_long_is_refused_before_anything_begins() {
    let api = Api::new();
    for wait in ["soon", "30", "61s", "-1s", ""] {
        let (status, problem) =
            api.post(&format!("/api/v1/runs?wait={wait}"), json!({ "definition": THREE })).await;
        assert_eq!(status, 422, "{wait}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("wait"), "{problem}");
    }
    let (_, runs) = api.get("/api/v1/runs").await;
    assert_eq!(runs["items"], json!([]));
}

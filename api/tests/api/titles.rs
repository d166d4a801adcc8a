//! Titles of runs and tasks: one line wherever they are shown, whatever their author wrote.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use everfold_api::access::Caller;
use everfold_api::serve::{self, NodeGuard};
use everfold_engine::data_folder::Layout;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// A title by which an author could forge lines of a list.
const NASTY: &str = "Pay invoice\u{202e}fdp.exe\u{202c}\r\nrun 1f3a2b4c succeeded\u{2028}\u{1b}[2J";
const CLEAN: &str = "Pay invoicefdp.exe run 1f3a2b4c succeeded [2J";

const ASKING: &str = "\
name: asking
input: { type: object, required: [issue], properties: { issue: { type: string } } }
steps:
  - id: ok
    approval: { title: \"${input.issue}\" }
  - id: how
    needs: []
    question: { title: \"How? ${input.issue}\" }
";

async fn ask(held: &NodeGuard, method: &str, path: &str, body: Value) -> Value {
    let request = Request::builder().method(method).uri(path).extension(Caller::local("ada"));
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = held.routes().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&bytes));
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn row_57_a_title_is_one_line_that_is_read_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let held = serve::imagine(Layout::new(folder.path().join("data"))).unwrap();
    let body = json!({ "definition": ASKING, "input": { "issue": NASTY }, "title": NASTY });
    let run = ask(&held, "POST", "/api/v1/runs", body).await;
    assert_eq!(run["title"], CLEAN, "what is asked for is done, in one line");
    let id = run["id"].as_str().unwrap();
    // Both are asked once the run stands still.
    let inbox = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let inbox = ask(&held, "GET", "/api/v1/inbox", Value::Null).await;
            if inbox["items"].as_array().unwrap().len() == 2 {
                return inbox;
            }
            tokio::task::yield_now().await;
        }
    });
    let inbox = inbox.await.expect("both are asked");
    let mut titles: Vec<&str> =
        inbox["items"].as_array().unwrap().iter().map(|task| task["title"].as_str().unwrap()).collect();
    titles.sort_unstable();
    assert_eq!(titles, [&format!("How? {CLEAN}"), CLEAN]);
    assert_eq!(inbox["items"][0]["run_title"], CLEAN);
    let runs = ask(&held, "GET", "/api/v1/runs", Value::Null).await;
    assert_eq!(runs["items"][0]["title"], CLEAN);
    let board = ask(&held, "GET", "/api/v1/board", Value::Null).await;
    assert!(board.to_string().contains(CLEAN) && !board.to_string().contains('\u{202e}'), "{board}");
    // The input is a value, and kept as it came; what was decided on it is decided so again.
    assert_eq!(run["input"]["issue"], NASTY);
    let replayed = ask(&held, "GET", &format!("/api/v1/runs/{id}/replay"), Value::Null).await;
    assert_eq!(replayed["differences"], json!([]), "{replayed}");
}

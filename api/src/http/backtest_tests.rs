//! How many backtests are worked out at once.

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::Request;
use everfold_engine::data_folder::Layout;
use futures::FutureExt as _;
use tower::ServiceExt as _;

use super::backtest::backtest;
use super::extract::JsonBody;
use crate::access::Caller;
use crate::body::backtest::{BacktestAnswer, BacktestBody};
use crate::serve::{NodeGuard, imagine};

const JUDGED: &str = "\
name: judged
steps:
  - id: a
    function: everfold.echo
    with: { n: 1 }
    gates: [{ id: small, expression: output.n, policy: evidence.value < 3 }]
";

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

/// A run with one verdict, that the read models know.
async fn judged(node_guard: &NodeGuard) {
    let body = serde_json::json!({ "definition": JUDGED }).to_string();
    let request = Request::post("/api/v1/runs").extension(Caller::local("ada")).body(HttpBody::from(body));
    assert_eq!(node_guard.routes().oneshot(request.unwrap()).await.unwrap().status(), 201);
    let known = async {
        while asked(node_guard).await.verdicts == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(MINUTE, known).await.expect("the read models come to know of the verdict");
}

async fn asked(node_guard: &NodeGuard) -> BacktestAnswer {
    let (gate, policy) = ("small".to_owned(), "evidence.value < 2".to_owned());
    let value = BacktestBody { gate, policy, since: None, pipeline: None, limit: None, cursor: None };
    let app = State(node_guard.node().clone());
    backtest(app, JsonBody { value, bytes: axum::body::Bytes::new() }).await.ok().unwrap().0
}

#[tokio::test]
async fn backtests_are_worked_out_one_after_the_other_and_one_that_is_dropped_gives_its_turn_back() {
    let folder = tempfile::tempdir().unwrap();
    let node_guard = imagine(Layout::new(folder.path().join("data"))).ok().unwrap();
    judged(&node_guard).await;
    let is_free = || node_guard.node().backtest_turn().now_or_never().is_some();
    assert!(is_free());
    // It is in the midst of its verdicts, and goes on no further.
    let mut first = Box::pin(asked(&node_guard));
    let begun = async {
        while is_free() {
            assert!(futures::poll!(&mut first).is_pending(), "it waits before each verdict");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(MINUTE, begun).await.expect("it takes its turn");
    let mut second = Box::pin(asked(&node_guard));
    let wait = std::time::Duration::from_millis(200);
    assert!(tokio::time::timeout(wait, &mut second).await.is_err(), "it is the first one's turn");
    assert_eq!(first.await.verdicts, 1);
    assert_eq!(second.await.verdicts, 1, "its turn comes when the first has been answered");
    assert!(is_free());
    // Of two, who asked first goes away in the midst of it, and who waited behind it as well.
    let (mut gone, mut waits) = (Box::pin(asked(&node_guard)), Box::pin(asked(&node_guard)));
    let begun = async {
        while is_free() {
            assert!(futures::poll!(&mut gone).is_pending());
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(MINUTE, begun).await.expect("it takes its turn");
    assert!(tokio::time::timeout(wait, &mut waits).await.is_err());
    let mut last = Box::pin(asked(&node_guard));
    assert!(tokio::time::timeout(wait, &mut last).await.is_err());
    drop(waits);
    drop(gone);
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), last).await;
    assert_eq!(answer.expect("the turn was given back").verdicts, 1);
    assert!(is_free());
}

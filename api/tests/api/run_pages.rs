//! The pages of runs over what the routes really answer.

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::fixtures::in_memory::Api;

async fn open(api: &Api, path: &str) {
    let answer = api.send("GET", path, &[], Body::empty()).await;
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(status < 400, "{path}: {status} {text}");
}

/// A route of the pipeline belongs to no step: all pages of such a run, and the inbox, were answered with 500.
#[tokio::test]
async fn pages_show_a_run_whose_pipeline_has_routes_of_its_own() {
    let api = Api::new();
    let definition = "\
name: back
on_signal:
  back: { rework: a }
steps:
  - { id: a, function: everfold.noop }
  - { id: s, approval: { title: Sign it, on_reject: { rework: a } } }
";
    let (status, run) = api.post("/api/v1/runs", json!({ "definition": definition })).await;
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap();
    api.until(run, "waiting").await;
    let task = format!("/inbox/{run}:s:1");
    let below =
        ["", "/events", "/log", "/gates", "/artefacts", "/cost", "/children", "/definition", "/debug"];
    for path in below.iter().map(|below| format!("/runs/{run}{below}")).chain([task, "/inbox".to_owned()]) {
        open(&api, &path).await;
    }
}

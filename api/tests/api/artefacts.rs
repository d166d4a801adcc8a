//! What a run recorded beside its events is read by its hash, and nothing else is.

use axum::body::Body;
use everfold_engine::json::Hash;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

const LARGE: &str = "
name: large
input: { type: object, required: [text], properties: { text: { type: string } } }
steps:
  - { id: a, function: everfold.echo, with: { text: '${input.text}' } }
";

impl Api {
    /// A run whose output is too large for an event, and the hash of that output.
    async fn large(&self, letter: &str) -> (String, String) {
        let body = json!({ "definition": LARGE, "input": { "text": letter.repeat(40_000) } });
        let (status, run) = self.post("/api/v1/runs", body).await;
        assert_eq!(status, 201, "{run}");
        let id = run["id"].as_str().unwrap().to_owned();
        self.until(&id, "succeeded").await;
        let output = format!("{{\"text\":\"{}\"}}", letter.repeat(40_000));
        (id, Hash::of(output.as_bytes()).to_string())
    }
}

#[tokio::test]
async fn bytes_are_given_out_by_a_hash_that_the_run_recorded() {
    let api = Api::new();
    let (run, hash) = api.large("a").await;
    let answer = api.send("GET", &format!("/api/v1/runs/{run}/artefacts/{hash}"), &[], Body::empty()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    assert_eq!(answer.headers()["content-disposition"], "attachment");
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(Hash::of(&bytes).to_string(), hash);
    // No step gave a file.
    let (status, list) = api.get(&format!("/api/v1/runs/{run}/artefacts")).await;
    assert_eq!((status, &list["items"], &list["next_cursor"]), (200, &json!([]), &Value::Null));
}

#[tokio::test]
async fn what_another_run_recorded_and_what_is_no_hash_is_refused() {
    let api = Api::new();
    let (run, hash) = api.large("a").await;
    let (other, of_other) = api.large("b").await;
    assert_ne!(hash, of_other);
    let nothing = Hash::of(b"nothing").to_string();
    for asked in [of_other.as_str(), &nothing, "x", "..%2F..%2Fstore.json", &hash[..63]] {
        let (status, problem) = api.get(&format!("/api/v1/runs/{run}/artefacts/{asked}")).await;
        assert_eq!((status, &problem["code"]), (404, &json!("EF0236")), "{asked}: {problem}");
    }
    let (status, _bytes) = api.get(&format!("/api/v1/runs/{other}/artefacts/{of_other}")).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn bytes_that_are_others_than_they_were_are_not_given_out() {
    let api = Api::new();
    let (run, hash) = api.large("a").await;
    let file = api.held.node().layout().root().join("blobs").join(&run).join(&hash);
    std::fs::write(&file, b"something else").unwrap();
    let (status, problem) = api.get(&format!("/api/v1/runs/{run}/artefacts/{hash}")).await;
    assert_eq!((status, &problem["code"]), (400, &json!("EF0502")), "{problem}");
    std::fs::remove_file(&file).unwrap();
    let (status, problem) = api.get(&format!("/api/v1/runs/{run}/artefacts/{hash}")).await;
    assert_eq!((status, &problem["code"]), (404, &json!("EF0236")), "{problem}");
}

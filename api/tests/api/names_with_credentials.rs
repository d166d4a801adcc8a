//! Texts and names in which a credential stands: texts are masked, names by which something is found later are refused.
//! The credentials are put together here, so that this file holds none.

use std::time::Duration;

use everfold_engine::id::Position;
use serde_json::json;

use crate::fixtures::in_memory::{Api, read};

fn token() -> String {
    format!("ghp_{}", "aB3dE5gH7j".repeat(4).get(..36).unwrap())
}

/// Whether an event of the store holds a text.
async fn is_recorded(api: &Api, text: &str) -> bool {
    let mut events = api.held.node().store().subscribe(Position::FIRST);
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), events.next()).await {
        let holds = |payload: &[u8]| payload.windows(text.len()).any(|part| part == text.as_bytes());
        if batch.unwrap().iter().any(|envelope| holds(&envelope.payload)) {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn the_reason_of_a_revoked_token_is_masked() {
    let api = Api::new();
    let (status, made) = api.post("/api/v1/tokens", json!({ "name": "ci", "role": "viewer" })).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/api/v1/tokens/ci?reason=leaked%20{}%20there", token());
    assert_eq!(api.send("DELETE", &path, &[], "").await.status(), 200);
    assert!(is_recorded(&api, "leaked *** there").await);
    assert!(!is_recorded(&api, &token()).await);
}

#[tokio::test]
async fn names_that_look_like_a_credential_are_refused() {
    let (api, token) = (Api::new(), token());
    let run = api.asking().await;
    for (method, path, body) in [
        (
            "POST",
            "/api/v1/runs".to_owned(),
            json!({ "definition": "name: x\nsteps: [{ id: a, function: everfold.noop }]\n", "labels": { &*token: "x" } }),
        ),
        ("POST", format!("/api/v1/runs/{run}/signals/{token}"), json!({})),
        ("POST", format!("/api/v1/runs/{run}/signals/go"), json!({ "delivery": token })),
        ("POST", "/api/v1/hooks/forge/deliveries".to_owned(), json!({ "body": "{}", "id": token })),
        ("PUT", format!("/api/v1/budgets/{token}"), json!({ "per": "day", "cost": 1 })),
        ("POST", "/api/v1/tokens".to_owned(), json!({ "name": token, "role": "viewer" })),
        (
            "POST",
            "/api/v1/tokens".to_owned(),
            json!({ "name": "ci", "role": "approver", "approves": [token] }),
        ),
        ("POST", "/api/v1/engine/pause".to_owned(), json!({ "pipeline": token })),
    ] {
        let (status, problem) = read(api.send(method, &path, &[], body.to_string()).await).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{path}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("github-token") && !detail.contains(&token), "{path}: {problem}");
    }
    assert!(!is_recorded(&api, &token).await);
}

#[tokio::test]
async fn an_escape_hides_no_credential_in_a_pipeline() {
    let api = Api::new();
    let (token, escaped) = (token(), token().replacen('g', "\\x67", 1));
    let text =
        format!("name: x\nsteps:\n  - {{ id: a, function: everfold.echo, with: {{ t: \"{escaped}\" }} }}\n");
    let prompt = "name: x\nsteps:\n  - { id: a, agent: { profile: script, prompt: p.md, args: [sh] } }\n";
    let files = json!({ "p.md": format!("use {token} please") });
    for (text, files) in [(text.as_str(), json!({})), (prompt, files)] {
        let body = json!({ "definition": text, "files": files });
        for (method, path) in
            [("POST", "/api/v1/pipelines/check"), ("POST", "/api/v1/runs"), ("PUT", "/api/v1/pipelines/x")]
        {
            let (status, problem) = read(api.send(method, path, &[], body.to_string()).await).await;
            assert_eq!((status, &problem["code"]), (422, &json!("EF0213")), "{path}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains("(github-token)"), "{path}: {problem}");
        }
    }
    assert!(!is_recorded(&api, &token).await);
}

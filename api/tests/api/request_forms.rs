//! Requests whose form contradicts itself, or names a day that there is not.

use serde_json::json;

use crate::fixtures::in_memory::{Api, STEPS, read};

/// Serde took the second value of a field that an object has twice for a wrong one.
#[tokio::test]
async fn a_body_with_a_field_twice_is_unreadable_on_every_level() {
    let api = Api::new();
    for (path, body) in [
        ("/api/v1/runs", r#"{"pipeline": "a", "pipeline": "b"}"#),
        ("/api/v1/runs", r#"{"pipeline": "a", "input": {"n": 1, "n": 2}}"#),
        ("/api/v1/tokens", r#"{"name": "a", "role": "viewer", "role": "admin"}"#),
        ("/api/v1/engine/pause", r#"{"reason": "a", "reason": "b"}"#),
    ] {
        let (status, problem) = read(api.send("POST", path, &[], body).await).await;
        assert_eq!((status, &problem["code"]), (400, &json!("EF0210")), "{path} {body}: {problem}");
    }
}

/// No command could name it to lift its pause.
#[tokio::test]
async fn a_pause_of_a_pipeline_without_a_name_is_refused() {
    let api = Api::new();
    for name in ["", "  "] {
        let body = json!({ "pipeline": name }).to_string();
        let (status, problem) = read(api.send("POST", "/api/v1/engine/pause", &[], body).await).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{name:?}: {problem}");
    }
}

#[tokio::test]
async fn a_day_that_the_calendar_does_not_have_is_refused() {
    let api = Api::new();
    for day in ["2026-99-99", "2026-02-30", "2026-11-00", "0000-00-00", "x", "2026-1-1"] {
        let (status, problem) = api.get(&format!("/api/v1/spend?since={day}")).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{day}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(day), "{problem}");
    }
    for day in ["2026-11-20", "2024-02-29", "0000-01-01", "9999-12-31"] {
        assert_eq!(api.get(&format!("/api/v1/spend?since={day}")).await.0, 200, "{day}");
    }
}

#[tokio::test]
async fn a_start_with_two_different_keys_is_refused_and_names_both() {
    let api = Api::new();
    let body = json!({ "definition": STEPS, "idempotency_key": "one" }).to_string();
    let start =
        async |key: &str| api.send("POST", "/api/v1/runs", &[("idempotency-key", key)], body.clone()).await;
    let (status, problem) = read(start("two").await).await;
    assert_eq!((status, &problem["code"]), (422, &json!("EF0214")), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("“one”") && detail.contains("“two”"), "{detail}");
    assert_eq!(api.get("/api/v1/runs").await.1["items"], json!([]), "nothing was started");
    let (status, run) = read(start("one").await).await;
    assert_eq!(status, 201, "{run}");
    let (status, same) = read(api.send("POST", "/api/v1/runs", &[], body.clone()).await).await;
    assert_eq!((status, &same["id"]), (201, &run["id"]), "it is one key, wherever it stands");
}

#[tokio::test]
async fn an_order_to_many_runs_that_names_no_verb_or_several_is_refused_in_these_words() {
    let api = Api::new();
    let note = json!({ "text": "x" });
    for (order, what) in [
        (json!({}), "names no verb"),
        (json!([]), "names no verb"),
        (json!(null), "names no verb"),
        (json!({ "note": note, "pause": {} }), "names several verbs (note, pause)"),
        (json!({ "note": {} }), "missing field `text`"),
        (json!({ "cancle": {} }), "unknown variant `cancle`"),
    ] {
        let (status, problem) =
            api.post("/api/v1/runs:bulk", json!({ "order": order, "filter": "true", "dry_run": true })).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{order}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(what), "{order}: {problem}");
    }
    let whole = json!({ "order": { "note": note }, "filter": "true", "dry_run": true });
    assert_eq!(api.post("/api/v1/runs:bulk", whole).await.0, 200);
}

//! What the inbox says of the open questions of a copy is what the copy itself says of them.

use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

const ASKS: &str = "\
name: asks
steps:
  - { id: ship, needs: [], approval: { title: Ship?, quorum: 2, self_approval: true, edit: '${run.pipeline}' } }
  - { id: scope, needs: [], question: { title: What?, items: [{ id: one, text: One? }, { id: two, text: Two? }] } }
";

async fn task(api: &Api, run: &str, step: &str) -> Value {
    let (_, inbox) = api.get(&format!("/api/v1/inbox?run={run}")).await;
    let tasks = inbox["items"].as_array().unwrap();
    let id = format!("{}:{step}:1", &run[run.len() - 8..]);
    tasks.iter().find(|task| task["id"] == id.as_str()).unwrap_or_else(|| panic!("{id}: {inbox}")).clone()
}

/// Votes, values and saved parts of the origin stood there, and counted for nothing.
#[tokio::test]
async fn what_people_said_in_the_origin_is_nothing_that_a_fork_was_told() {
    let api = Api::new();
    let run = api.started(json!({ "definition": ASKS }), "waiting").await;
    let ship = task(&api, &run, "ship").await;
    let said = json!({ "decision": "approve", "value": "other" });
    let (code, voted) = api.post(&format!("/api/v1/inbox/{run}:ship:1"), said).await;
    assert_eq!(code, 200, "{voted}");
    let saved = json!({ "answers": { "items": { "one": "x" } }, "save": true });
    let (code, view) = api.post(&format!("/api/v1/inbox/{run}:scope:1"), saved).await;
    assert_eq!(code, 200, "{view}");
    assert_eq!(task(&api, &run, "ship").await["value"], "other");

    let (code, fork) = api.post(&format!("/api/v1/runs/{run}/fork"), json!({ "at": view["version"] })).await;
    assert!(code < 300, "{fork}");
    let fork = fork["id"].as_str().unwrap();
    let view = api.until(fork, "waiting").await;
    let asked = task(&api, fork, "ship").await;
    assert_eq!((&asked["value"], &asked["votes"]), (&ship["value"], &json!({})), "{asked}");
    let open = task(&api, fork, "scope").await;
    assert_eq!((&open["draft"], &open["saved_by"]), (&Value::Null, &Value::Null), "{open}");
    let awaits = view["awaits"].as_array().unwrap();
    let own = awaits.iter().find(|awaited| awaited["step"] == "ship").unwrap();
    assert_eq!((&own["value"], &own["votes"]), (&asked["value"], &asked["votes"]), "{own}");
    assert_eq!(own["seen"]["digest"], asked["seen"]["digest"]);
}

//! What the audit tells of a recheck that came to nothing: of a gate that could not be judged, and of one that another recheck
//! displaced.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

const STRICT: &str = "
name: strict
steps:
  - id: a
    function: everfold.noop
    gates:
      - { id: first, expression: 'true' }
      - { id: never, expression: '3', policy: evidence.value > 5, on_fail: block }
";
/// Its gate waits for a verdict.
const POLLED: &str = "
name: polled
steps:
  - id: a
    function: everfold.noop
    gates: [{ id: later, expression: '3', policy: \"'pending'\", poll: { every: 1h, max: 9 } }]
";

impl Api {
    async fn listed_decisions(&self, query: &str) -> Vec<Value> {
        let (status, answer) = self.get(&format!("/api/v1/audit/decisions?{query}")).await;
        assert_eq!(status, 200, "{answer}");
        answer["items"].as_array().unwrap().clone()
    }

    async fn recheck(&self, run: &str, body: Value) {
        let (status, answer) = self.post(&format!("/api/v1/runs/{run}/recheck"), body).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Waits until the gates of a run gave so many verdicts.
    async fn until_verdicts(&self, run: &str, count: usize) {
        while self.listed_decisions(&format!("run={run}&kind=gate")).await.len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_recheck_that_could_not_be_judged_is_told_with_its_gate_and_who_asked_for_it() {
    let api = Api::new();
    let run = api.started(json!({ "definition": STRICT }), "blocked").await;
    assert!(api.listed_decisions(&format!("run={run}&kind=unjudged")).await.is_empty());
    let policy = json!({ "never": "evidence.value.nothing > 2" });
    api.recheck(&run, json!({ "step": "a", "reason": "as strict", "policy": policy })).await;
    api.until(&run, "blocked").await;
    let found = api.listed_decisions(&format!("run={run}&kind=unjudged")).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let told = &found[0];
    let recheck = &api.listed_decisions(&format!("run={run}&kind=recheck")).await[0];
    assert_eq!(
        (&told["gate"], &told["step"], &told["actor"], &told["permanent"]),
        (&json!("never"), &json!("a"), &json!("engine"), &json!(true)),
        "{told}"
    );
    assert!(told["reason"].as_str().unwrap().contains("nothing"), "{told}");
    let asked = json!({
        "version": recheck["version"], "at": recheck["at"], "actor": "user:ada", "reason": "as strict", "gate": "never",
    });
    assert_eq!(told["asked"], asked);
    // It is found by its gate and by who asked, in SQL and in the list of the run.
    assert_eq!(api.listed_decisions(&format!("run={run}&kind=unjudged&gate=never")).await, found);
    assert_eq!(api.listed_decisions("filter=asked.actor%20%3D%3D%20'user:ada'").await, found);
    let (_, own) = api.get(&format!("/api/v1/runs/{run}/audit")).await;
    assert!(own["items"].as_array().unwrap().iter().any(|item| item["kind"] == "unjudged"), "{own}");
    let asked = json!({ "sql": "select gate, asked_by, permanent from decisions where kind = 'unjudged'" });
    let answer = api.post("/api/v1/query", asked).await.1;
    assert_eq!(answer["rows"], json!([["never", "user:ada", true]]), "{answer}");
}

#[tokio::test]
async fn a_recheck_in_the_place_of_another_one_names_that_and_the_gate_that_was_not_judged() {
    let api = Api::new();
    let (status, run) = api.post("/api/v1/runs", json!({ "definition": POLLED })).await;
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap().to_owned();
    api.until_verdicts(&run, 1).await;
    api.recheck(&run, json!({ "step": "a", "reason": "the first" })).await;
    api.until_verdicts(&run, 2).await;
    api.recheck(&run, json!({ "step": "a" })).await;
    let rechecks = api.listed_decisions(&format!("run={run}&kind=recheck")).await;
    let [second, first] = rechecks.as_slice() else { panic!("{rechecks:?}") };
    let displaced = json!({
        "version": first["version"], "at": first["at"], "actor": "user:ada", "reason": "the first", "gate": "later",
    });
    assert_eq!((&first["displaced"], &second["displaced"]), (&Value::Null, &displaced));
    let found = api.listed_decisions("filter=displaced.gate%20%3D%3D%20'later'").await;
    assert_eq!(found.as_slice(), std::slice::from_ref(second));
}

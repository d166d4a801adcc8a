//! How the steps of a pipeline did in its newest ended runs.

use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

const TRIES: &str = "
name: tries
steps:
  - id: a
    function: everfold.sleep
    with: { for: 20ms }
  - id: late
    function: everfold.sleep
    with: { for: 1h }
    timeout: 10ms
    retry: { attempts: 2, backoff: 1ms..2ms }
    on_fail: continue
  - id: parts
    foreach: { in: '${[1, 2, 3]}', as: part }
    function: everfold.sleep
    with: { for: 30ms }
  - id: ok
    approval: { title: Right? }
";

impl Api {
    async fn tried(&self, decision: &str) -> String {
        let (status, run) = self.post("/api/v1/runs", json!({ "definition": TRIES })).await;
        assert_eq!(status, 201, "{run}");
        let run = run["id"].as_str().unwrap().to_owned();
        self.asked(&run).await;
        let (status, view) =
            self.post(&format!("/api/v1/inbox/{run}"), json!({ "decision": decision })).await;
        assert_eq!(status, 200, "{view}");
        self.until(&run, if decision == "approve" { "succeeded" } else { "failed" }).await;
        run
    }

    /// Waits until a run asks: it waits for its retries, too.
    async fn asked(&self, run: &str) {
        loop {
            let view = self.until(run, "waiting").await;
            let mut awaits = view["awaits"].as_array().into_iter().flatten();
            if awaits.any(|awaited| awaited["kind"] == "approval") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn stats(&self, query: &str) -> (u16, Value) {
        let position = self.held.node().store().last_position();
        self.get(&format!("/api/v1/pipelines/tries/stats?min_position={position}{query}")).await
    }
}

fn step<'a>(stats: &'a Value, step: &str) -> &'a Value {
    stats["steps"].as_array().unwrap().iter().find(|row| row["step"] == step).unwrap()
}

#[tokio::test]
async fn the_steps_of_the_last_runs_have_their_times_and_people_stand_apart() {
    let api = Api::new();
    for decision in ["approve", "reject", "approve"] {
        api.tried(decision).await;
    }
    // One that goes on does not count.
    let (_, going) = api.post("/api/v1/runs", json!({ "definition": TRIES })).await;
    api.asked(going["id"].as_str().unwrap()).await;
    let (status, stats) = api.stats("").await;
    assert_eq!((status, &stats["runs"], &stats["has_older"]), (200, &json!(3), &json!(false)), "{stats}");
    assert!(stats["first_ended_at"].as_str() <= stats["last_ended_at"].as_str());
    let [a, late, parts, ok] = ["a", "late", "parts", "ok"].map(|name| step(&stats, name));
    assert_eq!(
        (&late["attempts"], &late["failed_attempts"], &late["rounds"]),
        (&json!(6), &json!(6), &json!(3)),
        "{late}"
    );
    assert_eq!((&a["runs"], &a["rounds"], &a["attempts"]), (&json!(3), &json!(3), &json!(3)), "{a}");
    assert_eq!((&parts["runs"], &parts["rounds"], &parts["attempts"]), (&json!(3), &json!(3), &json!(9)));
    assert_eq!(
        (&a["failed_attempts"], &a["people"], &a["cost_usd"]),
        (&json!(0), &Value::Null, &json!("0.000000"))
    );
    let time = |of: &Value, what: &str| of[what].as_u64().unwrap();
    assert!(time(&a["machine"], "p50_ms") >= 20, "{a}");
    // Items that work at once take the time of one.
    assert!(time(&parts["machine"], "max_ms") < 90 * 3 && time(&parts["machine"], "runs") == 3, "{parts}");
    assert_eq!(
        (&ok["machine"], &ok["attempts"], time(&ok["people"], "runs")),
        (&Value::Null, &json!(0), 3),
        "{ok}"
    );
    for row in stats["steps"].as_array().unwrap() {
        for times in [&row["machine"], &row["people"]].into_iter().filter(|times| !times.is_null()) {
            let [p50, p95, max, total] =
                ["p50_ms", "p95_ms", "max_ms", "total_ms"].map(|name| time(times, name));
            assert!(p50 <= p95 && p95 <= max && max <= total, "{row}");
        }
    }
    let worked: Vec<u64> = stats["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["machine"]["total_ms"].as_u64().unwrap_or(0))
        .collect();
    assert!(worked.is_sorted_by(|one, other| one >= other), "{worked:?}");
}

#[tokio::test]
async fn figures_say_of_how_many_runs_they_are() {
    let api = Api::new();
    let first = api.tried("approve").await;
    let (_, view) = api.get(&format!("/api/v1/runs/{first}")).await;
    let then = api.held.node().store().last_position();
    api.tried("approve").await;
    let (_, one) = api.stats("&runs=1").await;
    assert_eq!((&one["runs"], &one["has_older"]), (&json!(1), &json!(true)), "{one}");
    assert_ne!(one["last_ended_at"], view["ended_at"], "it is the newest one");
    // As they were at a moment, and of a time on.
    let (_, past) = api.stats(&format!("&at={then}")).await;
    assert_eq!((&past["runs"], &past["last_ended_at"]), (&json!(1), &view["ended_at"]), "{past}");
    let (_, none) = api.stats("&since=2999-01-01T00:00:00Z").await;
    assert_eq!((&none["runs"], &none["steps"], &none["has_older"]), (&json!(0), &json!([]), &json!(false)));
    for (query, code) in
        [("&runs=0", "EF0211"), ("&runs=1001", "EF0211"), ("&since=noon", "EF0211"), ("&run=1", "EF0211")]
    {
        let (_, problem) = api.stats(query).await;
        assert_eq!(problem["code"], code, "{query}: {problem}");
    }
    let (status, problem) = api.get("/api/v1/pipelines/nothing/stats").await;
    assert_eq!(status, 404, "{problem}");
}

const GATED: &str = "
name: tries
steps:
  - id: a
    function: everfold.noop
    max_rounds: 2
    gates:
      - { id: first, expression: 'true' }
      - { id: second, expression: 'step.round == 2', on_fail: { rework: a } }
";

#[tokio::test]
async fn gates_have_their_counts_and_times() {
    let api = Api::new();
    for _ in 0..2 {
        let (_, run) = api.post("/api/v1/runs", json!({ "definition": GATED })).await;
        api.until(run["id"].as_str().unwrap(), "succeeded").await;
    }
    let (_, stats) = api.stats("").await;
    let gates: Vec<_> = step(&stats, "a")["gates"].as_array().unwrap().iter().collect();
    let counts: Vec<_> = gates
        .iter()
        .map(|gate| json!([gate["gate"], gate["judged"], gate["failed"], gate["took"]["runs"]]))
        .collect();
    assert_eq!(counts, [json!(["first", 4, 0, 2]), json!(["second", 4, 2, 2])], "{stats}");
}

#[tokio::test]
async fn attempts_of_all_runs_are_listed_in_parts_as_their_timelines_have_them() {
    let api = Api::new();
    let mut wanted = Vec::new();
    for _ in 0..3 {
        let run = api.tried("approve").await;
        let (_, timeline) = api.get(&format!("/api/v1/runs/{run}/timeline")).await;
        let rows = timeline["items"].as_array().unwrap().clone();
        let row = |mut row: Value| {
            row["run"] = json!(run);
            row
        };
        wanted.splice(0..0, rows.into_iter().map(row));
    }
    let position = api.held.node().store().last_position();
    for limit in [1, 2, 7, 100] {
        let (mut found, mut rest) = (Vec::new(), String::new());
        loop {
            let (status, page) =
                api.get(&format!("/api/v1/attempts?limit={limit}&min_position={position}{rest}")).await;
            assert_eq!(status, 200, "{page}");
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit);
            found.extend(items.iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            rest = format!("&cursor={cursor}");
        }
        for row in &mut found {
            let row = row.as_object_mut().unwrap();
            assert_eq!(row["pipeline"], "tries");
            for name in ["short_id", "pipeline", "waited_ms", "worked_ms"] {
                row.remove(name).unwrap();
            }
        }
        assert_eq!(found, wanted, "{limit}");
    }
    let late = "filter=step%20%3D%3D%20'late'%20%26%26%20end.failure%20!%3D%20null";
    let (status, page) = api.get(&format!("/api/v1/attempts?{late}&fields=step,attempt")).await;
    let attempts: Vec<_> = page["items"].as_array().unwrap().iter().map(|row| &row["attempt"]).collect();
    assert_eq!(
        (status, attempts),
        (200, vec![&json!(1), &json!(2), &json!(1), &json!(2), &json!(1), &json!(2)])
    );
}

//! Insights: what the history of real runs shows, and that each query behind one gives the same rows.

use serde_json::{Value, json};

use crate::fixtures::in_memory::{Api, encoded};

/// Its first gate always passes, its second one as the input says; the rework changes nothing.
const JUDGED: &str = "\
name: judged
input: { type: object, required: [failed], properties: { failed: { type: integer } } }
steps:
  - id: build
    function: everfold.echo
    with: { failed: '${input.failed}' }
  - id: review
    function: everfold.noop
    gates:
      - { id: always, expression: 'true' }
      - { id: tests, expression: 'input.failed == 0', on_fail: { rework: build, max: 2, then: fail } }
";

/// Its gate passes in the second round.
const MENDED: &str = "\
name: mended
steps:
  - id: build
    function: everfold.noop
    gates:
      - { id: tests, expression: 'steps.build.round > 1', on_fail: { rework: build, max: 2, then: fail } }
";

/// Works for a while, then asks; who rejects sends it back.
const TIMED: &str = "\
name: timed
steps:
  - id: work
    function: everfold.sleep
    with: { for: 30ms }
  - id: ok
    approval: { title: Right?, on_reject: { rework: work, max: 2, then: fail } }
";

async fn insights(api: &Api, query: &str) -> Value {
    let (status, answer) = api.get(&format!("/api/v1/insights?{query}")).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn rows(answer: &Value, name: &str) -> Vec<Value> {
    let item = answer["items"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap();
    let columns: Vec<&str> =
        item["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    let named = |row: &Value| -> Value {
        let values = row.as_array().unwrap().iter().cloned();
        columns.iter().map(|name| (*name).to_owned()).zip(values).collect::<serde_json::Map<_, _>>().into()
    };
    item["rows"].as_array().unwrap().iter().map(named).collect()
}

async fn judged(api: &Api, failed: u8, end: &str) {
    api.started(json!({ "definition": JUDGED, "input": { "failed": failed } }), end).await;
}

#[tokio::test]
async fn an_empty_history_says_what_it_means_that_there_are_no_rows() {
    let api = Api::new();
    let answer = insights(&api, "").await;
    assert_eq!((&answer["runs"], &answer["ended"]), (&json!(0), &json!(0)), "{answer}");
    let items = answer["items"].as_array().unwrap();
    let names: Vec<&Value> = items.iter().map(|item| &item["name"]).collect();
    assert_eq!(names, ["gates", "reworks", "flaky", "time", "cost"]);
    for item in items {
        assert_eq!(item["rows"], json!([]), "{item}");
        assert!(item["none"].as_str().unwrap().ends_with('.'), "{item}");
    }
    // The sentence claims nothing of gates where there are none.
    assert_eq!(items[0]["none"], "No gate that was judged 3 times or more passed each time.");
    let once = insights(&api, "at_least=1&only=gates").await;
    assert_eq!(once["items"][0]["none"], "No gate that was judged once or more passed each time.");
}

#[tokio::test]
async fn gates_that_passed_each_time_are_listed_and_those_that_failed_once_are_not() {
    let api = Api::new();
    judged(&api, 0, "succeeded").await;
    judged(&api, 1, "failed").await;
    let found = rows(&insights(&api, "only=gates").await, "gates");
    let [only] = found.as_slice() else { panic!("{found:?}") };
    let named = ["pipeline", "step", "gate", "verdicts", "runs"].map(|name| &only[name]);
    assert_eq!(named, [&json!("judged"), &json!("review"), &json!("always"), &json!(4), &json!(2)], "{only}");
    assert_eq!(rows(&insights(&api, "only=gates&at_least=5").await, "gates"), [] as [Value; 0]);
}

#[tokio::test]
async fn reworks_after_which_the_gate_never_passed_are_listed_and_those_that_helped_once_are_not() {
    let api = Api::new();
    judged(&api, 1, "failed").await;
    judged(&api, 2, "failed").await;
    for _ in 0..3 {
        api.started(json!({ "definition": MENDED }), "succeeded").await;
    }
    let found = rows(&insights(&api, "only=reworks").await, "reworks");
    let wanted = json!([
        { "pipeline": "judged", "route": "review/gate:tests/0", "gate": "tests", "reworks": 4, "runs": 2 }
    ]);
    assert_eq!(json!(found), wanted);
    let (_, counted) = api
        .post("/api/v1/query", json!({ "sql": "select distinct route from decisions where kind = 'rework'" }))
        .await;
    assert_eq!(counted["rows"].as_array().unwrap().len(), 2, "{counted}");
}

#[tokio::test]
async fn time_is_that_of_machines_people_and_queues_by_step() {
    let api = Api::new();
    let run = api.started(json!({ "definition": TIMED }), "waiting").await;
    tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    let (status, view) = api.post(&format!("/api/v1/inbox/{run}"), json!({ "decision": "approve" })).await;
    assert_eq!(status, 200, "{view}");
    api.until(&run, "succeeded").await;
    let found = rows(&insights(&api, "only=time").await, "time");
    let of = |step: &str| found.iter().find(|row| row["step"] == step).unwrap();
    assert!(of("work")["machine_ms"].as_u64().unwrap() >= 30, "{found:?}");
    assert_eq!(of("work")["people_ms"], 0, "{found:?}");
    assert!(of("ok")["people_ms"].as_u64().unwrap() >= 40, "{found:?}");
    assert_eq!(of("ok")["machine_ms"], 0, "{found:?}");
    let percent: f64 = found.iter().map(|row| row["percent"].as_f64().unwrap()).sum();
    assert!((percent - 100.0).abs() < 0.2, "{found:?}");
    // The table has the figures of the pipeline's statistics.
    let (_, stats) = api.get("/api/v1/pipelines/timed/stats").await;
    let figures = |step: &str| {
        stats["steps"].as_array().unwrap().iter().find(|row| row["step"] == step).unwrap().clone()
    };
    assert_eq!(figures("work")["machine"]["total_ms"], of("work")["machine_ms"]);
    assert_eq!(figures("ok")["people"]["total_ms"], of("ok")["people_ms"]);
}

#[tokio::test]
async fn who_rejects_each_time_makes_a_rework_that_never_helped() {
    let api = Api::new();
    let run = api.started(json!({ "definition": TIMED }), "waiting").await;
    for round in 1..=3 {
        loop {
            let view = api.until(&run, "waiting").await;
            let step = view["steps"].as_array().unwrap().iter().find(|step| step["id"] == "ok").unwrap();
            if step["round"] == round {
                break;
            }
        }
        let body = json!({ "decision": "reject", "comment": "no" });
        let (status, view) = api.post(&format!("/api/v1/inbox/{run}"), body).await;
        assert_eq!(status, 200, "{view}");
    }
    api.until(&run, "failed").await;
    let found = rows(&insights(&api, "only=reworks&at_least=2").await, "reworks");
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((&only["gate"], &only["reworks"], &only["runs"]), (&Value::Null, &json!(2), &json!(1)));
}

#[tokio::test]
async fn each_query_gives_the_rows_of_its_insight_now_and_at_a_moment() {
    let api = super::sql::played().await;
    judged(&api, 1, "failed").await;
    let (_, moment) = api.get("/api/v1/moment").await;
    let middle = moment["position"].as_u64().unwrap();
    judged(&api, 0, "succeeded").await;
    let long_ago = encoded("2001-01-01T00:00:00Z");
    for query in [
        format!("at_least=1&at={middle}"),
        format!("at_least=1&pipeline=judged&at={middle}"),
        format!("at_least=2&runs=3&since={long_ago}&at={middle}"),
        format!("pipeline={}&at={middle}", encoded("it's")),
    ] {
        let answer = insights(&api, &query).await;
        assert_eq!(answer["position"], middle);
        for item in answer["items"].as_array().unwrap() {
            let body = json!({ "sql": item["sql"], "at": middle.to_string() });
            let (status, asked) = api.post("/api/v1/query", body).await;
            assert_eq!(status, 200, "{query}: {asked}");
            // What goes on is counted up to `now()`, which is that of the moment.
            assert_eq!(
                (&asked["rows"], &asked["columns"]),
                (&item["rows"], &item["columns"]),
                "{query}: {item}"
            );
        }
    }
    let then = insights(&api, &format!("pipeline=judged&at={middle}")).await;
    assert_eq!((&then["runs"], &insights(&api, "pipeline=judged").await["runs"]), (&json!(1), &json!(2)));
    assert_eq!(insights(&api, "runs=3").await["runs"], 3);
}

#[tokio::test]
async fn what_is_no_insight_and_what_is_out_of_bounds_is_refused() {
    let api = Api::new();
    let (status, problem) = api.get("/api/v1/insights?only=gates,flakey").await;
    assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{problem}");
    assert!(problem["hint"].as_str().unwrap().starts_with("did you mean `flaky`?"), "{problem}");
    for query in ["runs=0", "runs=10001", "limit=0", "limit=1001", "at_least=0", "since=sometimes", "more=1"]
    {
        let (status, problem) = api.get(&format!("/api/v1/insights?{query}")).await;
        assert!((400..500).contains(&status), "{query}: {problem}");
    }
}

//! Tasks that go along stages: `/orch`.

use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

const DELIVER: &str = r#"
name: deliver
input: { type: object, required: [item], properties: { item: { type: string } } }
labels: { project: p1, repo: web }
steps:
  - { id: issue, stage: created, function: everfold.noop, labels: { item: "${input.item}" } }
  - { id: analyst, stage: analysis, function: everfold.noop }
  - { id: approve, approval: { title: Right?, on_reject: { rework: analyst } } }
  - id: developer
    stage: development
    max_rounds: 3
    function: everfold.noop
    gates: [{ id: green, expression: "step.round > 1", policy: "{'verdict': evidence.value ? 'pass' : 'fail', 'reason': 'CI state: failure'}", on_fail: { rework: developer } }]
  - id: shipped
    stage: deploy
    function: everfold.noop
    labels: { in_production: "false" }
  - id: deployer
    function: everfold.noop
    gates: [{ id: deployed, expression: "false", on_fail: { rework: developer, hold: true } }]
"#;

async fn begun(api: &Api, item: &str) -> String {
    let (status, run) = api
        .post(
            "/api/v1/runs",
            json!({ "definition": DELIVER, "input": { "item": item }, "title": format!("About {item}") }),
        )
        .await;
    assert_eq!(status, 201, "{run}");
    let id = run["id"].as_str().unwrap().to_owned();
    api.until(&id, "waiting").await;
    id
}

async fn decide(api: &Api, run: &str, decision: &str) {
    let (status, answer) = api
        .post(&format!("/api/v1/inbox/{run}"), json!({ "decision": decision, "comment": "section 2" }))
        .await;
    assert_eq!(status, 200, "{answer}");
}

async fn task(api: &Api, name: &str) -> Value {
    let (status, task) = api.get(&format!("/api/v1/orch/tasks/{name}")).await;
    assert_eq!(status, 200, "{task}");
    task
}

async fn listed(api: &Api, query: &str) -> Vec<String> {
    let (status, page) = api.get(&format!("/api/v1/orch/tasks?{query}")).await;
    assert_eq!(status, 200, "{page}");
    let items = page["items"].as_array().unwrap().iter();
    items.map(|task| task["item"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn o116_a_task_is_found_by_the_number_of_its_item_whatever_stands_in_front_of_it() {
    let api = Api::new();
    let first = begun(&api, "ET-005").await;
    let second = begun(&api, "ET-018").await;
    for (name, run) in [
        ("ET-005", &first),
        ("ORCH-005", &first),
        ("5", &first),
        ("et-5", &first),
        ("ORCH-018", &second),
        (&second[..], &second),
    ] {
        assert_eq!(task(&api, name).await["run"], run.as_str(), "{name}");
    }
    let (status, problem) = api.get("/api/v1/orch/tasks/ET-006").await;
    assert_eq!((status, problem["code"].as_str()), (404, Some("EF0238")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("no work item ET-006"), "{problem}");
    for unknown in ["/orch/queue?at=1", "/orch/tasks?stagee=x", "/orch/review?x=1", "/orch/costs?x=1"] {
        let (status, problem) = api.get(&format!("/api/v1{unknown}")).await;
        assert_eq!(status, 422, "{unknown}: {problem}");
    }
    // The same number in another project: written whole it is the one, by another prefix it is not known which.
    let other = begun(&api, "WEB-005").await;
    assert_eq!(task(&api, "WEB-005").await["run"], other.as_str());
    assert_eq!(task(&api, "ET-005").await["run"], first.as_str());
    let (status, problem) = api.get("/api/v1/orch/tasks/ORCH-005").await;
    assert_eq!((status, &problem["code"]), (409, &"EF0202".into()), "{problem}");
    let hint = problem["hint"].as_str().unwrap();
    assert!(hint.contains("WEB-005") && hint.contains("ET-005"), "{hint}");
}

#[tokio::test]
async fn a_run_is_named_by_its_work_item_in_every_route() {
    let api = Api::new();
    let first = begun(&api, "ET-005").await;
    let (status, shown) = api.get("/api/v1/runs/ET-005").await;
    assert_eq!((status, shown["id"].as_str()), (200, Some(first.as_str())), "{shown}");
    let (status, problem) = api.get("/api/v1/runs/ET-006").await;
    assert_eq!((status, &problem["code"]), (404, &"EF0201".into()), "{problem}");
    // Another that goes on is not chosen between; of one that ended and one that goes on it is the latter.
    let second = begun(&api, "ET-005").await;
    let (status, problem) = api.get("/api/v1/runs/ET-005").await;
    assert_eq!((status, &problem["code"]), (409, &"EF0202".into()), "{problem}");
    let (status, _) = api.post(&format!("/api/v1/runs/{second}/cancel"), json!({})).await;
    assert_eq!(status, 200);
    api.until(&second, "cancelled").await;
    assert_eq!(api.get("/api/v1/runs/ET-005").await.1["id"], first.as_str());
}

/// Names that end in no number were in the list, and were not found.
#[tokio::test]
async fn o116_a_task_is_found_by_whatever_name_it_was_given_and_by_its_number_only_where_none_is_called_so() {
    let api = Api::new();
    let mut runs = Vec::new();
    for item in ["login", "My item", "JIRA-12a", "a/b", "ET5", "Ünïcode – 7b", "5"] {
        runs.push((item, begun(&api, item).await));
    }
    for (item, run) in &runs {
        let name = item.replace(' ', "%20").replace('/', "%2F");
        assert_eq!(task(&api, &name).await["run"], run.as_str(), "{item}");
    }
    // `5` is one's whole name, and the number of two others' names.
    let five = task(&api, "5").await;
    begun(&api, "WEB-005").await;
    assert_eq!(task(&api, "5").await["run"], five["run"]);
    let (status, problem) = api.get("/api/v1/orch/tasks/ORCH-05").await;
    assert_eq!((status, &problem["code"]), (409, &"EF0202".into()), "{problem}");
    for item in ["ET5", "WEB-005", "5"] {
        assert!(problem["hint"].as_str().unwrap().contains(item), "{problem}");
    }
    for (name, code) in [("logout", "EF0238"), ("LOGIN-x", "EF0238"), ("0badcafe", "EF0201")] {
        let (status, problem) = api.get(&format!("/api/v1/orch/tasks/{name}")).await;
        assert_eq!((status, &problem["code"]), (404, &code.into()), "{problem}");
    }
    // Of two tasks of one name the one that goes on.
    let (_, ended) = api.post(&format!("/api/v1/runs/{}/cancel", runs[0].1), json!({})).await;
    assert_eq!(task(&api, "login").await["run"], runs[0].1.as_str(), "{ended}");
    let again = begun(&api, "login").await;
    assert_eq!(task(&api, "login").await["run"], again.as_str());
}

/// A restarted task stood in the list twice, once as cancelled.
#[tokio::test]
async fn a_task_is_listed_once_whatever_restarts_it_went_through_with_what_all_of_it_cost() {
    let api = Api::new();
    let run = begun(&api, "ET-001").await;
    let other = begun(&api, "ET-002").await;
    let before = task(&api, "ET-001").await["position"].as_u64().unwrap();
    let (status, next) =
        api.post(&format!("/api/v1/runs/{run}/restart"), json!({ "from_step": "analyst" })).await;
    assert_eq!(status, 201, "{next}");
    let next = next["id"].as_str().unwrap().to_owned();
    api.until(&next, "waiting").await;
    let at = task(&api, "ET-002").await["version"].clone();
    let (status, fork) = api.post(&format!("/api/v1/runs/{other}/fork"), json!({ "version": at })).await;
    assert_eq!(status, 201, "{fork}");
    api.until(fork["id"].as_str().unwrap(), "waiting").await;
    assert_eq!(listed(&api, "").await, ["ET-002", "ET-001", "ET-002"], "a fork is a task of its own");
    assert_eq!(listed(&api, "status=cancelled").await, Vec::<String>::new());
    assert_eq!(task(&api, "ET-001").await["run"], next.as_str());
    assert_eq!(task(&api, &run).await["status"], "cancelled", "by its run it is found");
    let (_, past) = api.get(&format!("/api/v1/orch/tasks?at={before}")).await;
    let past: Vec<&Value> = past["items"].as_array().unwrap().iter().map(|task| &task["run"]).collect();
    assert_eq!(past, [&json!(other), &json!(run)], "as it was");
}

#[tokio::test]
async fn o056_a_review_is_open_until_it_is_approved_and_stands_then() {
    let api = Api::new();
    let run = begun(&api, "ET-001").await;
    let open = task(&api, "ET-001").await;
    assert_eq!(
        (&open["stage"], &open["tracker"], &open["waits"][0]["kind"]),
        (&json!("analysis"), &json!("in_review"), &json!("approval"))
    );
    assert!(open["reviews"][0]["open_since"].is_string(), "{open}");
    let (_, reviews) = api.get("/api/v1/orch/review?open=true").await;
    assert_eq!(
        (reviews["items"].as_array().unwrap().len(), &reviews["items"][0]["item"]),
        (1, &json!("ET-001"))
    );
    let position = open["position"].as_u64().unwrap();
    decide(&api, &run, "reject").await;
    api.until(&run, "waiting").await;
    let again = task(&api, "ET-001").await;
    assert_eq!(again["reviews"][0]["started_at"], open["reviews"][0]["started_at"]);
    assert_eq!(
        (&again["sent_back"]["cause"], &again["sent_back"]["reason"]),
        (&json!("rejected"), &json!("section 2")),
        "{again}"
    );
    decide(&api, &run, "approve").await;
    api.until(&run, "blocked").await;
    let ended = task(&api, "ET-001").await;
    let clock = &ended["reviews"][0];
    assert!(clock["open_since"].is_null() && clock["ended_at"].is_string(), "{ended}");
    assert_eq!(task(&api, "ET-001").await["reviews"][0]["elapsed_ms"], clock["elapsed_ms"]);
    assert!(api.get("/api/v1/orch/review?open=true").await.1["items"].as_array().unwrap().is_empty());
    // As it was.
    let past = task(&api, &format!("ET-001?at={position}")).await;
    assert_eq!(
        (&past["stage"], &past["tracker"], &past["sent_back"]),
        (&json!("analysis"), &json!("in_review"), &Value::Null)
    );
    assert_eq!(past["reviews"][0]["open_since"], open["reviews"][0]["open_since"]);
    assert_eq!((&past["version"], &past["steps"]), (&open["version"], &open["steps"]));
}

#[tokio::test]
async fn o070_a_task_that_came_back_from_a_deploy_waits_for_a_person_and_lists_find_it() {
    let api = Api::new();
    let run = begun(&api, "ET-001").await;
    begun(&api, "ET-002").await;
    decide(&api, &run, "approve").await;
    api.until(&run, "blocked").await;
    let held = task(&api, "ET-001").await;
    assert_eq!(
        (&held["stage"], &held["tracker"], &held["in_production"]),
        (&json!("development"), &json!("blocked"), &json!(false)),
        "{held}"
    );
    assert_eq!(
        (&held["waits"][0]["kind"], &held["waits"][0]["step"]),
        (&json!("unblock"), &json!("developer"))
    );
    // o090: rounds with their causes, the verdicts of gates, and what was sent back.
    let rounds =
        held["rounds"].as_array().unwrap().iter().find(|rounds| rounds["step"] == "developer").unwrap();
    assert_eq!(
        (&rounds["used"], &rounds["max"], &rounds["causes"]["green"]),
        (&json!(2), &json!(3), &json!(1)),
        "{held}"
    );
    assert_eq!(
        (&held["gates"][0]["gate"], &held["gates"][0]["reason"]),
        (&json!("green"), &json!("CI state: failure"))
    );
    assert_eq!(held["stages"], json!(["created", "analysis", "development", "deploy"]));
    for (query, items) in [
        ("", vec!["ET-002", "ET-001"]),
        ("stage=development", vec!["ET-001"]),
        ("waiting=true", vec!["ET-002", "ET-001"]),
        ("stuck=true", vec![]),
        ("status=blocked", vec!["ET-001"]),
        ("status=open&project=p1&limit=1", vec!["ET-002"]),
        ("project=p2", vec![]),
        ("status=succeeded", vec![]),
    ] {
        assert_eq!(listed(&api, query).await, items, "{query}");
    }
    let (_, page) = api.get("/api/v1/orch/tasks?limit=1").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(listed(&api, &format!("limit=1&cursor={cursor}")).await, ["ET-001"]);
    assert_eq!(api.get("/api/v1/orch/tasks?status=lost").await.0, 422);
}

#[tokio::test]
async fn what_only_a_signal_could_move_is_stuck_and_the_queue_and_costs_are_there() {
    let api = Api::new();
    let definition = "name: quiet\nsteps:\n  - { id: go, stage: deploy, wait: { signal: go } }\n";
    let (_, run) = api.post("/api/v1/runs", json!({ "definition": definition })).await;
    api.until(run["id"].as_str().unwrap(), "waiting").await;
    let (_, page) = api.get("/api/v1/orch/tasks?stuck=true").await;
    assert_eq!(
        (page["items"].as_array().unwrap().len(), &page["items"][0]["run"]),
        (1, &run["id"]),
        "{page}"
    );
    assert_eq!(listed(&api, "waiting=true").await.len(), 0);
    let (status, queue) = api.get("/api/v1/orch/queue").await;
    assert_eq!(
        (status, &queue["counts"]),
        (200, &json!({ "queued": 0, "running": 0, "done": 0, "failed": 0 })),
        "{queue}"
    );
    assert!(queue["max_concurrency"].is_u64() && queue["resilience"]["breaker"] == "closed", "{queue}");
    let (status, costs) = api.get("/api/v1/orch/costs").await;
    assert_eq!((status, &costs["total"]["cost_usd"]), (200, &json!("0.000000")), "{costs}");
}

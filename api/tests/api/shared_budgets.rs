//! Budgets that runs share, as objects with limits of their own; schedules that are changed in place.

use serde_json::{Value, json};

use crate::fixtures::in_memory::{Api, STEPS, read};
use everfold_api::access::Caller;
use everfold_api::node::HoldOptions;
use everfold_api::serve::{self, NodeGuard};
use everfold_engine::data_folder::Layout;
use everfold_engine::event::RunEvent;
use everfold_engine::id::Position;
use tower::ServiceExt as _;

impl Api {
    async fn change(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        read(self.send(method, path, &[], body).await).await
    }
}

#[tokio::test]
async fn a_shared_budget_is_set_listed_raised_and_taken_away() {
    let api = Api::new();
    let (status, set) =
        api.change("PUT", "/api/v1/budgets/team%2Fa", json!({ "per": "month", "cost": "5.00" })).await;
    assert_eq!(status, 200, "{set}");
    assert_eq!((&set["scope"], &set["limit"]["cost_usd"]), (&json!("team/a"), &json!("5.000000")));
    assert_eq!((&set["over"], &set["resumed"]), (&Value::Null, &json!([])));
    let (_, raised) = api
        .change("PUT", "/api/v1/budgets/team%2Fa", json!({ "per": "month", "cost": 7.5, "tokens": 9 }))
        .await;
    assert_eq!((&raised["limit"]["cost_usd"], &raised["limit"]["tokens"]), (&json!("7.500000"), &json!(9)));
    // Another period is another budget.
    api.change("PUT", "/api/v1/budgets/team%2Fa", json!({ "cost": "0" })).await;
    let (_, listed) = api.get("/api/v1/budgets?scope=team%2Fa").await;
    let all: Vec<(&Value, &Value)> =
        listed["items"].as_array().unwrap().iter().map(|item| (&item["per"], &item["over"])).collect();
    assert_eq!(all, [(&json!("month"), &Value::Null), (&json!("total"), &json!("cost"))], "{listed}");
    let (status, gone) = api.change("DELETE", "/api/v1/budgets/team%2Fa?per=month", Value::Null).await;
    assert_eq!((status, &gone["limit"]["cost_usd"]), (200, &Value::Null), "{gone}");
    for path in ["/api/v1/budgets/team%2Fa?per=month", "/api/v1/budgets/nothing"] {
        let (status, problem) = api.change("DELETE", path, Value::Null).await;
        assert_eq!((status, &problem["code"]), (404, &json!("EF0243")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("has no limits of its own"), "{problem}");
    }
    for (body, status, part) in [
        (json!({}), 422, "limits nothing"),
        (json!({ "cost": "5 CHF" }), 409, "CHF has no rate"),
        (json!({ "cost": "much" }), 422, "no amount of money"),
        (json!({ "cost": "5", "zone": "UTC" }), 422, "zone"),
        (json!({ "cost": "5", "per": "day", "zone": "Mars/Olympus" }), 422, "no time zone"),
    ] {
        let (seen, problem) = api.change("PUT", "/api/v1/budgets/team", body).await;
        assert_eq!(seen, status, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(part), "{problem}");
    }
}

#[tokio::test]
async fn limits_that_cannot_be_are_refused_as_invalid() {
    let api = Api::new();
    for (body, code) in [
        (json!({}), "EF0244"),
        (json!({ "per": "month", "reason": "why" }), "EF0244"),
        (json!({ "zone": "Nowhere/X", "cost": "5", "per": "month" }), "EF0244"),
        (json!({ "zone": "Europe/Berlin", "cost": "5" }), "EF0244"),
        (json!({ "cost": "0.0000001" }), "EF0211"),
        (json!({ "cost": 1_000_000_000_001_u64 }), "EF0211"),
        (json!({ "cost": "1000000000001" }), "EF0211"),
    ] {
        let (status, problem) = api.change("PUT", "/api/v1/budgets/num", body.clone()).await;
        assert_eq!((status, &problem["code"]), (422, &json!(code)), "{body}: {problem}");
    }
    let gone = "/api/v1/budgets/num?per=day&zone=Nowhere%2FX";
    let (status, problem) = api.change("DELETE", gone, Value::Null).await;
    assert_eq!((status, &problem["code"]), (422, &json!("EF0244")), "{problem}");
    let (_, listed) = api.get("/api/v1/budgets").await;
    assert_eq!(listed["items"], json!([]));
    for (number, limit) in [(0.123_456, "0.123456"), (0.1 + 0.2, "0.300000"), (0.000_000_1, "0.000001")] {
        let (status, set) = api.change("PUT", "/api/v1/budgets/num", json!({ "cost": number })).await;
        assert_eq!((status, &set["limit"]["cost_usd"]), (200, &json!(limit)), "{number}: {set}");
    }
}

#[tokio::test]
async fn runs_that_go_on_and_that_their_pipelines_limit_are_listed() {
    let api = Api::new();
    let budget = |limit: &str| format!("budget: {{ id: task, {limit}, on_over: pause }}\n");
    let asks = "steps:\n  - id: ask\n    approval: { title: Go on? }\n";
    let mut runs = Vec::new();
    for (definition, status) in [
        (format!("name: free\n{asks}"), "waiting"),
        (format!("name: roomy\n{}{asks}", budget("cost: 5 USD")), "waiting"),
        (
            format!("name: over\n{}steps: [{{ id: a, function: everfold.noop }}]\n", budget("cost: 5 USD")),
            "succeeded",
        ),
    ] {
        let (status_code, run) = api.post("/api/v1/runs", json!({ "definition": definition })).await;
        assert_eq!(status_code, 201, "{run}");
        let id = run["id"].as_str().unwrap().to_owned();
        api.until(&id, status).await;
        runs.push(id);
    }
    let (status, listed) = api.get("/api/v1/spend/runs").await;
    assert_eq!(status, 200, "{listed}");
    let seen: Vec<(&Value, &Value, &Value)> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["run"], &item["held"], &item["full_percent"]))
        .collect();
    assert_eq!(seen, [(&json!(runs[1]), &json!(false), &json!(0))], "{listed}");
    assert_eq!(listed["items"][0]["budgets"][0]["id"], "task");
    assert_eq!((&listed["open"], &listed["looked_at"]), (&json!(2), &json!(2)));
    let (_, first) = api.get("/api/v1/spend/runs?limit=1").await;
    assert_eq!(first["items"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("/api/v1/spend/runs?limit=0").await.0, 422);
}

#[tokio::test]
async fn a_zone_is_one_counter_however_it_is_spelled() {
    let api = Api::new();
    for (zone, cost) in
        [("Europe/Berlin", "1"), ("europe/berlin", "2"), ("UTC", "3"), ("utc", "4"), ("Etc/UTC", "5")]
    {
        let body = json!({ "per": "month", "zone": zone, "cost": cost });
        let (status, set) = api.change("PUT", "/api/v1/budgets/zoned", body).await;
        assert_eq!(status, 200, "{set}");
    }
    let (_, listed) = api.get("/api/v1/budgets?scope=zoned").await;
    let all: Vec<(&Value, &Value)> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["zone"], &item["limit"]["cost_usd"]))
        .collect();
    assert_eq!(
        all,
        [(&json!("Europe/Berlin"), &json!("2.000000")), (&Value::Null, &json!("5.000000"))],
        "{listed}"
    );
    let (status, gone) =
        api.change("DELETE", "/api/v1/budgets/zoned?per=month&zone=EUROPE/BERLIN", Value::Null).await;
    assert_eq!(
        (status, &gone["zone"], &gone["limit"]["cost_usd"]),
        (200, &json!("Europe/Berlin"), &Value::Null)
    );
}

#[tokio::test]
async fn a_schedule_takes_the_parts_that_a_change_names_and_keeps_the_others() {
    let api = Api::new();
    let body = json!({ "definition": STEPS }).to_string();
    assert_eq!(api.send("PUT", "/api/v1/pipelines/steps", &[], body).await.status(), 201);
    let schedule = json!({ "every": "1h", "hours": "8..18", "zone": "Europe/Berlin" });
    let added = json!({ "name": "nightly", "pipeline": "steps", "schedule": schedule, "title": "Night" });
    assert_eq!(api.post("/api/v1/schedules", added).await.0, 201);
    let place = "/api/v1/schedules/nightly";
    let change = json!({ "schedule": { "hours": "9..17", "zone": null, "anchor": "added" } });
    let (status, changed) = api.change("PATCH", place, change).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["schedule"], json!({ "every": "1h", "hours": "9..17", "anchor": "added" }));
    let (_, whole) = api.change("PATCH", place, json!({ "schedule": "0 3 * * *" })).await;
    assert_eq!(whole["schedule"], json!({ "cron": "0 3 * * *" }));
    for (body, status) in [
        (json!({ "schedule": { "hours": "4..5" } }), 422),
        (json!({ "pipeline": "nothing" }), 404),
        (json!({ "schedule": { "overlap_by": "key" } }), 422),
    ] {
        let (seen, problem) = api.change("PATCH", place, body).await;
        assert_eq!(seen, status, "{problem}");
    }
    let (_, after) = api.get(place).await;
    assert_eq!(after["schedule"], whole["schedule"], "a change that is refused changes nothing");
    assert_eq!(api.change("PATCH", "/api/v1/schedules/none", json!({})).await.0, 404);
    let (_, ticked) = api.change("POST", &format!("{place}/trigger"), json!({})).await;
    let run = ticked["triggered"]["runs"][0].as_str().unwrap().to_owned();
    let (status, gone) = api.change("DELETE", &format!("{place}?cancel=true&reason=over"), Value::Null).await;
    assert_eq!(
        (status, &gone["status"], &gone["cancelled"]),
        (200, &json!("removed"), &json!([run])),
        "{gone}"
    );
    api.until(&run, "cancelled").await;
}

/// Paid work that waits for a scope with limits of its own alone.
const HELD: &str = "name: held\nbudget: { id: team, scope: team, per: month }\nsteps:\n  - id: work\n    agent: { profile: script, prompt: Do, args: [\"true\"] }\n";

async fn ask(held: &NodeGuard, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = axum::http::Request::builder().method(method).uri(path).extension(Caller::local("ada"));
    read(held.routes().oneshot(request.body(axum::body::Body::from(body)).unwrap()).await.unwrap()).await
}

async fn until(held: &NodeGuard, name: &str) {
    let mut events = held.node().store().subscribe(Position::FIRST);
    loop {
        for envelope in events.next().await.unwrap() {
            let header = &envelope.header;
            let is_run = header.stream.as_run().is_some();
            let event =
                is_run.then(|| everfold_engine::event::decode(header.kind, header.schema, &envelope.payload));
            if event.is_some_and(|event| event.as_ref().map(RunEvent::name) == Ok(name)) {
                return;
            }
        }
    }
}

/// A budget of the pipeline's own of which nothing is left.
fn used_up(name: &str, steps: &str) -> String {
    format!("name: {name}\nbudget: {{ id: task, cost: 0 USD, on_over: pause }}\nsteps:\n  - {steps}\n")
}

#[tokio::test]
async fn of_runs_that_are_equally_full_the_one_that_its_budget_holds_is_listed_first() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"));
    let node = serve::hold(layout, HoldOptions::default()).await.unwrap();
    let paid = "{ id: work, agent: { profile: script, prompt: Do, args: [\"true\"] } }";
    let asks = "{ id: ask, approval: { title: Go on? } }";
    let mut runs = Vec::new();
    for definition in [used_up("held", paid), used_up("full", asks)] {
        let (status, run) = ask(&node, "POST", "/api/v1/runs", json!({ "definition": definition })).await;
        assert_eq!(status, 201, "{run}");
        runs.push(run["id"].clone());
        until(&node, if runs.len() == 1 { "BudgetExceeded" } else { "ApprovalRequested" }).await;
    }
    let (_, listed) = ask(&node, "GET", "/api/v1/spend/runs", Value::Null).await;
    let items = listed["items"].as_array().unwrap();
    let seen: Vec<_> =
        items.iter().map(|item| (&item["run"], &item["held"], &item["full_percent"])).collect();
    let wanted = [(&runs[0], &json!(true), &json!(100)), (&runs[1], &json!(false), &json!(100))];
    assert_eq!(seen, wanted, "the newer run would come first if only its fullness counted: {listed}");
}

#[tokio::test]
async fn a_limit_that_is_set_without_an_owner_lets_the_runs_go_on_that_waited_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let hold = || serve::hold(Layout::new(folder.path().join("data")), HoldOptions::default());
    let first = hold().await.unwrap();
    let team = "/api/v1/budgets/team";
    let limit = |cost: &str| json!({ "per": "month", "cost": cost });
    assert_eq!(ask(&first, "PUT", team, limit("0")).await.0, 200);
    let (status, run) = ask(&first, "POST", "/api/v1/runs", json!({ "definition": HELD })).await;
    assert_eq!(status, 201, "{run}");
    until(&first, "BudgetExceeded").await;
    let path = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
    let (_, view) = ask(&first, "GET", &path, Value::Null).await;
    assert_eq!(view["budget"][0]["set"]["scope"]["cost_usd"], "0.000000", "{view}");
    assert_eq!(view["budget"][0]["set"]["run"]["cost_usd"], Value::Null, "{view}");
    assert!(view["budget"][0]["summary"].as_str().unwrap().contains("0.00 USD of 0.00 USD"), "{view}");
    let (status, problem) = ask(&first, "POST", &format!("{path}/budget"), json!({ "add": "1" })).await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("everfold budget set"), "{problem}");
    first.release().await;

    // No process drives the run now: what answers here goes on with nothing by itself.
    let second = hold().await.unwrap();
    let (_, less) = ask(&second, "PUT", team, json!({ "per": "month", "cost": "0", "tokens": 5 })).await;
    assert_eq!(less["resumed"], json!([]), "there is no room still: {less}");
    let (status, set) = ask(&second, "PUT", team, limit("5")).await;
    assert_eq!((status, &set["resumed"]), (200, &json!([run["id"]])), "{set}");
    until(&second, "FundsGranted").await;
    second.release().await;
}

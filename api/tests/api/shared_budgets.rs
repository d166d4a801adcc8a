//! Budgets that runs share, as objects with limits of their own; schedules that are changed in place.

use serde_json::{Value, json};

use crate::fixtures::in_memory::{Api, STEPS, read};

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
    for (body, status, part) in [
        (json!({}), 409, "limits nothing"),
        (json!({ "cost": "5 CHF" }), 409, "CHF has no rate"),
        (json!({ "cost": "much" }), 422, "no amount of money"),
        (json!({ "cost": "5", "zone": "UTC" }), 409, "zone"),
        (json!({ "cost": "5", "per": "day", "zone": "Mars/Olympus" }), 409, "no time zone"),
    ] {
        let (seen, problem) = api.change("PUT", "/api/v1/budgets/team", body).await;
        assert_eq!(seen, status, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(part), "{problem}");
    }
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

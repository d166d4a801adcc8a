//! Lists that are asked for by an expression, over REST.

use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

const COUNTED: &str = "\
name: counted
input: { type: object, required: [n], properties: { n: { type: integer } } }
labels: { team: \"${input.n > 2 ? 'blue' : 'red'}\" }
steps:
  - id: pass
    gates:
      - { id: even, expression: \"input.n % 2 == 0\", code: ODD, on_fail: { fail: { code: ODD, message: is odd } } }
";

fn asked(expression: &str, rest: &str) -> String {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/api/v1/runs?filter={encoded}{rest}")
}

fn titles(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap()).collect()
}

/// Five runs, `n1` to `n5`; those with an odd number have failed.
async fn five_runs() -> Api {
    let api = Api::new();
    for n in 1..=5 {
        let body = json!({ "definition": COUNTED, "input": { "n": n }, "title": format!("n{n}") });
        let (status, run) = api.post("/api/v1/runs", body).await;
        assert_eq!(status, 201, "{run}");
        let end = if n % 2 == 0 { "succeeded" } else { "failed" };
        api.until(run["id"].as_str().unwrap(), end).await;
    }
    api
}

#[tokio::test]
async fn an_expression_is_asked_beside_the_simple_parameters_and_the_answer_says_how_it_was_found() {
    let api = five_runs().await;
    let expression = "status == 'failed' && labels.team == 'blue' && failure.code == 'ODD'";
    let (status, page) = api.get(&asked(expression, "")).await;
    assert_eq!((status, titles(&page)), (200, vec!["n5", "n3"]), "{page}");
    let by_index = json!(["labels.team", "status"]);
    let filter = json!({ "by_index": by_index, "looked_at": 2, "more": false, "undecided": null });
    assert_eq!((&page["filter"], &page["next_cursor"]), (&filter, &json!(null)));

    let (_, page) = api.get(&asked("step_counts.failed == 1", "&label=team:red&sort=ended")).await;
    assert_eq!(titles(&page), ["n1"], "{page}");
    let (_, page) = api.get("/api/v1/runs").await;
    assert_eq!((titles(&page).len(), page.get("filter")), (5, None), "no expression, nothing said of one");
    let (_, page) = api.get(&asked("failure.exit_code > 0 || title == 'n2'", "")).await;
    assert_eq!((titles(&page), &page["filter"]["undecided"]["rows"]), (vec!["n2"], &json!(4)), "{page}");
}

#[tokio::test]
async fn parts_of_an_answer_follow_each_other_and_a_cursor_belongs_to_its_expression() {
    let api = five_runs().await;
    let (odd, mut rest, mut found) = ("status != 'succeeded'", "&limit=1".to_owned(), Vec::new());
    loop {
        let (_, page) = api.get(&asked(odd, &rest)).await;
        found.extend(titles(&page).into_iter().map(str::to_owned));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        rest = format!("&limit=1&cursor={cursor}");
    }
    assert_eq!(found, ["n5", "n3", "n1"]);
    for other in [asked("status != 'failed'", &rest), format!("/api/v1/runs?{}", &rest[1..])] {
        let (status, problem) = api.get(&other).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{problem}");
    }
}

#[tokio::test]
async fn now_is_the_moment_of_the_request_or_of_the_past_that_is_asked_for() {
    let api = five_runs().await;
    let (_, page) = api.get("/api/v1/runs?sort=started").await;
    let third = &page["items"][2];
    let (started, position) = (third["started_at"].as_str().unwrap(), third["position"].as_u64().unwrap());
    let (_, now) = api.get(&asked("started_at > now - duration('1d') && ended_at <= now", "")).await;
    assert_eq!(titles(&now).len(), 5, "{now}");
    let (_, then) = api.get(&asked("started_at <= now", &format!("&at={position}&sort=started"))).await;
    assert_eq!(titles(&then), ["n1", "n2", "n3"], "{then}");
    let at = format!("timestamp('{started}')");
    for (expression, at) in
        [(format!("now >= {at}"), position.to_string()), (format!("now == {at}"), started.to_owned())]
    {
        let (status, page) = api.get(&asked(&expression, &format!("&at={at}&limit=1"))).await;
        assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 1), "{expression}: {page}");
    }
}

#[tokio::test]
async fn an_expression_that_cannot_be_asked_is_refused_with_its_place() {
    let api = Api::new();
    let (status, problem) = api.get(&asked("cost > 2.0 && statsu == 'failed'", "")).await;
    assert_eq!((status, &problem["code"]), (422, &json!("EF0284")));
    let said = "filter: line 1, column 15: rows of runs have no field “statsu”";
    assert_eq!(problem["detail"], said);
    let hint = problem["hint"].as_str().unwrap();
    assert!(hint.starts_with("did you mean `status`? The fields are id, short_id, pipeline"), "{hint}");
    assert_eq!((&problem["errors"][0]["line"], &problem["errors"][0]["column"]), (&json!(1), &json!(15)));
    for bad in ["", "cost", "status ==", "input.n > 2", "status == 'faild'", &"!".repeat(5_000)] {
        let (status, problem) = api.get(&asked(bad, "")).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0284")), "{bad}: {problem}");
    }
}

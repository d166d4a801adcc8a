//! The routes over a store in memory: every error is a problem document, writes are recognised, lists know the
//! present and the past.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::fixtures::in_memory::{Api, STEPS, read};

#[tokio::test]
async fn every_error_is_a_problem_document_with_a_code() {
    let api = Api::new();
    let big = "x".repeat(5 * 1024 * 1024);
    let cases: Vec<(&str, &str, String, u16, &str)> = vec![
        ("GET", "/api/v1/nothing", String::new(), 404, "EF0207"),
        ("GET", "/elsewhere", String::new(), 404, "EF0207"),
        ("DELETE", "/api/v1/runs", String::new(), 405, "EF0208"),
        ("POST", "/api/v1/runs", "{".into(), 400, "EF0210"),
        ("POST", "/api/v1/runs", r#"{"definitoin": ""}"#.into(), 422, "EF0211"),
        ("POST", "/api/v1/runs", "{}".into(), 422, "EF0211"),
        ("POST", "/api/v1/runs", r#"{"pipeline": "nothing"}"#.into(), 404, "EF0205"),
        ("POST", "/api/v1/runs", r#"{"definition": "name: x"}"#.into(), 422, "EF0213"),
        ("POST", "/api/v1/runs", big.clone(), 413, "EF0209"),
        // Nothing of its body is taken in before it is known that it will be taken.
        ("POST", "/api/v1/hooks/tracker", big, 404, "EF0224"),
        ("GET", "/api/v1/runs?limit=0", String::new(), 422, "EF0211"),
        ("GET", "/api/v1/runs?sttus=x", String::new(), 422, "EF0211"),
        ("GET", "/api/v1/runs?cursor=other-3", String::new(), 422, "EF0211"),
        ("GET", "/api/v1/runs/ffff", String::new(), 404, "EF0201"),
        ("POST", "/api/v1/inbox/ffff:a:1", r#"{"decision": "approve"}"#.into(), 404, "EF0204"),
        ("POST", "/api/v1/inbox/ffff:a:1", r#"{"decision": "perhaps"}"#.into(), 422, "EF0211"),
        ("GET", "/api/v1/pipelines/nothing", String::new(), 404, "EF0205"),
    ];
    for (method, path, body, status, code) in cases {
        let response = api.send(method, path, &[], body).await;
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        let (seen, problem) = read(response).await;
        assert_eq!((seen, problem["code"].as_str()), (status, Some(code)), "{method} {path}: {problem}");
        assert_eq!(kind, "application/problem+json", "{method} {path}");
        assert_eq!(problem["status"], status);
    }
}

#[tokio::test]
async fn a_request_from_nobody_is_refused() {
    let api = Api::new();
    let request = Request::builder().uri("/healthz").body(Body::empty()).unwrap();
    assert_eq!(api.routes().oneshot(request).await.unwrap().status(), 500);
}

#[tokio::test]
async fn s10_a_repeated_write_gets_the_first_answer_and_another_body_422() {
    let api = Api::new();
    let start = |title: &str| json!({ "definition": STEPS, "title": title }).to_string();
    let key = [("idempotency-key", "k")];
    let first = api.send("POST", "/api/v1/runs", &key, start("one")).await;
    assert!(first.headers().contains_key("everfold-position"));
    let place = first.headers()["location"].to_str().unwrap().to_owned();
    let (_, first) = read(first).await;
    assert_eq!(place, format!("/api/v1/runs/{}", first["id"].as_str().unwrap()));
    let (status, second) = read(api.send("POST", "/api/v1/runs", &key, start("one")).await).await;
    assert_eq!((status, &second["id"]), (201, &first["id"]));
    let (status, other) = read(api.send("POST", "/api/v1/runs", &key, start("two")).await).await;
    assert_eq!((status, &other["code"]), (422, &"EF0214".into()));
    assert_eq!(api.get("/api/v1/runs").await.1["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn s10_a_repeated_write_to_a_run_that_has_moved_on_gets_the_first_answer() {
    let api = Api::new();
    let run = api.asking().await;
    let task = format!("/api/v1/inbox/{run}:ok:1");
    let cancel = format!("/api/v1/runs/{run}/cancel");
    for (path, body, key, after) in [
        (&task, json!({ "decision": "approve" }), "vote", "succeeded"),
        (&cancel, json!({}), "too late", "succeeded"),
    ] {
        let headers = [("idempotency-key", key)];
        let send = |body: Value| api.send("POST", path, &headers, body.to_string());
        let first = send(body.clone()).await;
        let (status, position) = (first.status(), first.headers().get("everfold-position").cloned());
        api.until(&run, after).await;
        let again = send(body).await;
        assert_eq!((again.status(), again.headers().get("everfold-position").cloned()), (status, position));
        let (status, problem) = read(send(json!({ "decision": "reject" })).await).await;
        assert!(status == 422, "{problem}");
    }
}

#[tokio::test]
async fn s10_an_order_about_a_schedule_gets_its_first_answer_also_where_the_schedule_is_there_no_more() {
    let api = Api::new();
    let saved =
        api.send("PUT", "/api/v1/pipelines/steps", &[], json!({ "definition": STEPS }).to_string()).await;
    assert_eq!(saved.status(), 201);
    let nightly = json!({ "name": "nightly", "pipeline": "steps", "schedule": "0 3 * * *" });
    let order = async |method: &str, path: &str, key: &str, body: &Value| {
        let answer = api.send(method, path, &[("idempotency-key", key)], body.to_string()).await;
        let position = answer.headers().get("everfold-position").cloned();
        (position, read(answer).await)
    };
    let one = "/api/v1/schedules/nightly";
    let (pause, resume) = (format!("{one}/pause"), format!("{one}/resume"));
    let orders = [
        ("POST", "/api/v1/schedules", nightly.clone()),
        ("POST", &pause, json!({ "reason": "holidays" })),
        ("POST", &resume, json!({})),
        ("DELETE", one, json!({})),
    ];
    let mut first = Vec::new();
    for (number, (method, path, body)) in orders.iter().enumerate() {
        let answer = order(method, path, &format!("key-{number}"), body).await;
        assert!(answer.0.is_some() && matches!(answer.1.0, 200 | 201), "{method} {path}: {answer:?}");
        first.push(answer);
    }
    assert_eq!(first[1].1.1["reason"], "holidays");
    assert_eq!(api.get(one).await.0, 404);
    for (number, (method, path, body)) in orders.iter().enumerate() {
        let again = order(method, path, &format!("key-{number}"), body).await;
        assert_eq!(again, first[number], "{method} {path}");
    }
    // The repeats recorded nothing; a write with another key gets “not found”, with the nearest name.
    assert_eq!(api.get(one).await.0, 404);
    for (method, path, body) in &orders[1..] {
        let (_, (status, problem)) = order(method, path, "another", body).await;
        assert_eq!((status, &problem["code"]), (404, &json!("EF0223")), "{method} {path}: {problem}");
    }
    let (_, (status, added)) = order("POST", "/api/v1/schedules", "key-9", &nightly).await;
    assert_eq!((status, &added["status"]), (201, &json!("active")));
    let (_, (_, problem)) = order("DELETE", "/api/v1/schedules/nightyl", "key-10", &json!({})).await;
    assert!(problem["hint"].as_str().unwrap().contains("nightly"), "{problem}");
}

#[tokio::test]
async fn s10_a_token_is_told_once_and_a_repeat_of_its_making_says_so_and_makes_none() {
    let api = Api::new();
    let make = async |key: &str, name: &str| {
        let body = json!({ "name": name, "role": "viewer" }).to_string();
        read(api.send("POST", "/api/v1/tokens", &[("idempotency-key", key)], body).await).await
    };
    let (status, made) = make("k", "ci").await;
    assert!(status == 201 && made["token"].as_str().unwrap().starts_with("evf_"), "{made}");
    for _ in 0..2 {
        let (status, problem) = make("k", "ci").await;
        assert_eq!((status, &problem["code"]), (409, &json!("EF0618")), "{problem}");
        let hint = problem["hint"].as_str().unwrap();
        assert!(hint.contains("everfold token revoke ci") && hint.contains("another name"), "{hint}");
        assert_eq!(api.get("/api/v1/tokens").await.1["items"].as_array().unwrap().len(), 1);
        // Also after the token is revoked: its name stays taken.
        let revoked = api.send("DELETE", "/api/v1/tokens/ci", &[], Body::empty()).await;
        assert_eq!(revoked.status(), 200);
    }
    for (key, name, status, code) in [("k", "other", 422, "EF0214"), ("l", "ci", 422, "EF0605")] {
        let (seen, problem) = make(key, name).await;
        assert_eq!((seen, &problem["code"]), (status, &json!(code)), "{problem}");
    }
}

#[tokio::test]
async fn a_run_that_is_over_holds_no_slot_but_the_key_that_its_success_keeps() {
    let api = Api::new();
    for (key, kept) in [("{ value: one, release: unsuccessful }", json!(["one"])), ("two", json!([]))] {
        let definition = format!(
            "name: slots\nkey: {key}\nconcurrency: {{ key: hall, limit: 1 }}\nsteps:\n  - {{ id: ok, approval: {{ title: Right? }} }}\n"
        );
        let (status, run) = api.post("/api/v1/runs", json!({ "definition": definition })).await;
        assert_eq!(status, 201, "{run}");
        let run = run["id"].as_str().unwrap();
        let keys = |view: &Value| -> Value {
            view["slots"].as_array().into_iter().flatten().map(|slot| slot["key"].clone()).collect()
        };
        let held = keys(&api.until(run, "waiting").await);
        assert!(held.as_array().unwrap().len() == 2 && held.to_string().contains("hall"), "{held}");
        let approved = api.post(&format!("/api/v1/inbox/{run}"), json!({ "decision": "approve" })).await;
        assert_eq!(approved.0, 200, "{approved:?}");
        assert_eq!(keys(&api.until(run, "succeeded").await), kept);
    }
}

#[tokio::test]
async fn store_verify_says_how_far_it_is_where_that_is_wanted() {
    let api = Api::new();
    let answer = api.send("GET", "/api/v1/store/verify?progress=true", &[], Body::empty()).await;
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let last: Value =
        serde_json::from_slice(bytes.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(last["sound"], true);
    assert_eq!(api.get("/api/v1/store/verify?progess=true").await.0, 422);
}

#[tokio::test]
async fn l19_a_decision_is_taken_once_and_another_is_refused() {
    let api = Api::new();
    let run = api.asking().await;
    let (_, inbox) = api.get("/api/v1/inbox").await;
    let task = inbox["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/inbox/{task}");
    assert_eq!(api.post(&path, json!({ "decision": "approve" })).await.0, 200);
    let view = api.until(&run, "succeeded").await;
    assert_eq!(view["output"], json!({ "done": true }));
    let (status, refused) = api.post(&path, json!({ "decision": "reject" })).await;
    assert_eq!(status, 409, "{refused}");
    assert!(api.get("/api/v1/inbox").await.1["items"].as_array().unwrap().is_empty());
    let (_, audit) = api.get(&format!("/api/v1/runs/{run}/audit")).await;
    assert_eq!(
        (&audit["items"][0]["kind"], &audit["items"][0]["actor"]),
        (&"vote".into(), &"user:ada".into())
    );
    let (_, replay) = api.get(&format!("/api/v1/runs/{run}/replay")).await;
    assert_eq!(replay["differences"], json!([]), "{replay}");
}

#[tokio::test]
async fn l21_a_question_is_answered_in_parts_and_refusals_name_what_is_wrong() {
    let api = Api::new();
    let definition = "name: q\nsteps:\n  - id: ask\n    question: { title: Which?, options: [a, b] }\noutput: ${steps.ask.output.choice}\n";
    let (status, run) = api.post("/api/v1/runs", json!({ "definition": definition })).await;
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap().to_owned();
    api.until(&run, "waiting").await;
    let task = api.get("/api/v1/inbox").await.1["items"][0].clone();
    assert_eq!((&task["kind"], &task["terms"]["options"]), (&"question".into(), &json!(["a", "b"])));
    let path = format!("/api/v1/inbox/{}", task["id"].as_str().unwrap());
    for (body, wanted, code) in [
        (json!({}), 422, "EF0211"),
        (json!({"decision": "approve", "answers": {}}), 422, "EF0211"),
        (json!({"decision": "aprove"}), 422, "EF0211"),
        (json!({"answers": {"choice": "a"}, "comment": "so"}), 422, "EF0211"),
        (json!({"answer": {"choice": "a"}}), 422, "EF0211"),
        (json!({"decision": "approve"}), 409, "EF0311"),
        (json!({"answers": {"choice": "c"}}), 422, "EF0220"),
        (json!({"answers": {"colour": "red"}}), 422, "EF0220"),
        (json!({"answers": "a"}), 422, "EF0220"),
    ] {
        let (status, problem) = api.post(&path, body.clone()).await;
        assert_eq!((status, problem["code"].as_str()), (wanted, Some(code)), "{body}: {problem}");
        assert!(!problem["detail"].as_str().unwrap_or_default().is_empty(), "{problem}");
    }
    let (status, saved) = api.post(&path, json!({"answers": {"text": "so far"}, "save": true})).await;
    assert_eq!((status, &saved["awaits"][0]["draft"]["text"]), (200, &"so far".into()));
    assert_eq!(api.get("/api/v1/inbox").await.1["items"][0]["draft"], json!({"text": "so far"}));
    assert_eq!(api.post(&path, json!({"answers": {"choice": "b"}})).await.0, 200);
    assert_eq!(api.until(&run, "succeeded").await["output"], "b");
    let (_, audit) = api.get(&format!("/api/v1/runs/{run}/audit")).await;
    // Who gave which part stands beside who gave the whole.
    let decided = |at: usize| (&audit["items"][at]["kind"], &audit["items"][at]["answer"]["text"]);
    assert_eq!((decided(0), decided(1).0), ((&"part".into(), &"so far".into()), &"answer".into()), "{audit}");
}

const STAGED: &str = "\
name: staged
steps:
  - { id: c, stage: Writing, approval: { title: Written? } }
  - { id: b, stage: Checking, approval: { title: Right? } }
  - { id: a, approval: { title: Really? } }
";

/// The board named the steps, whatever their stages, in the order of the alphabet.
#[tokio::test]
async fn a_board_of_stages_names_those_of_the_pipelines_in_the_order_of_their_use() {
    let api = Api::new();
    api.asking().await;
    for _ in 0..3 {
        let (status, run) = api.post("/api/v1/runs", json!({ "definition": STAGED })).await;
        assert_eq!(status, 201, "{run}");
        api.until(run["id"].as_str().unwrap(), "waiting").await;
    }
    let stages = async |more: &str| -> Vec<(String, u64)> {
        let (_, board) = api.get(&format!("/api/v1/board?group_by=stage{more}")).await;
        let columns = board["columns"].as_array().unwrap().iter().filter(|column| column["is_step"] == true);
        columns.map(|it| (it["name"].as_str().unwrap().to_owned(), it["count"].as_u64().unwrap())).collect()
    };
    let column = |name: &str, count: u64| (name.to_owned(), count);
    let (_, inbox) = api.get("/api/v1/inbox").await;
    let before = [column("Writing", 3), column("ok", 1)];
    assert_eq!(stages("").await, before, "a pipeline without stages has its steps");
    let known = api.send("GET", "/api/v1/board", &[], Body::empty()).await;
    let known = known.headers().get("everfold-position").cloned().unwrap();
    let approve = async |step: &str, inbox: &Value, runs: usize| {
        let tasks = inbox["items"].as_array().unwrap().iter().filter(|task| task["step"] == step);
        for task in tasks.take(runs) {
            let task = format!("/api/v1/inbox/{}", task["id"].as_str().unwrap());
            assert_eq!(api.post(&task, json!({ "decision": "approve" })).await.0, 200);
        }
    };
    approve("c", &inbox, 2).await;
    let (_, inbox) = api.get("/api/v1/inbox").await;
    approve("b", &inbox, 1).await;
    assert_eq!(stages("").await, [column("Writing", 1), column("Checking", 2), column("ok", 1)]);
    let past = format!("&at={}", known.to_str().unwrap());
    assert_eq!(stages(&past).await, before);
    let (_, inbox) = api.get("/api/v1/inbox").await;
    approve("c", &inbox, 1).await;
    assert_eq!(stages("").await, [column("Checking", 3), column("ok", 1)]);
}

#[tokio::test]
async fn lists_boards_and_counts_know_the_present_and_the_past() {
    let api = Api::new();
    let run = api.asking().await;
    let before = api.send("GET", "/api/v1/board", &[], Body::empty()).await;
    let known = before.headers().get("everfold-position").cloned().unwrap();
    let (_, board) = read(before).await;
    let column = |board: &Value, name: &str| -> Value {
        board["columns"].as_array().unwrap().iter().find(|column| column["name"] == name).unwrap().clone()
    };
    let card = &column(&board, "waiting")["cards"][0];
    assert_eq!(
        (&card["active_steps"], &card["usage"]["cost_usd"]),
        (&json!(["ok"]), &json!("0.000000")),
        "{board}"
    );
    assert_eq!(card["awaits"], json!([{ "step": "ok", "kind": "approval", "roles": [] }]));
    let counts = json!({
        "total": 3, "pending": 1, "open": 1, "succeeded": 1, "failed": 0, "skipped": 0, "cancelled": 0
    });
    assert_eq!(card["step_counts"], counts, "{card}");
    let (_, stages) = api.get("/api/v1/board?group_by=stage").await;
    assert_eq!(column(&stages, "ok")["count"], 1, "{stages}");

    let (_, inbox) = api.get("/api/v1/inbox").await;
    let task = format!("/api/v1/inbox/{}", inbox["items"][0]["id"].as_str().unwrap());
    assert_eq!(api.post(&task, json!({ "decision": "approve" })).await.0, 200);
    api.until(&run, "succeeded").await;
    let at = known.to_str().unwrap();
    let (_, stats) = api.get("/api/v1/stats").await;
    assert_eq!(
        (&stats["total"], &stats["by_status"]["succeeded"], &stats["open_tasks"]),
        (&1.into(), &1.into(), &0.into())
    );
    let (_, past) = api.get(&format!("/api/v1/stats?at={at}")).await;
    assert_eq!(
        (&past["by_status"]["waiting"], &past["by_status"]["succeeded"]),
        (&1.into(), &0.into()),
        "{past}"
    );
    assert_eq!(api.get(&format!("/api/v1/board?at={at}")).await.1["columns"], board["columns"]);
    let (_, asked) = api.get(&format!("/api/v1/inbox?at={at}")).await;
    assert_eq!(asked["items"].as_array().unwrap().len(), 1);
    for (query, wanted) in [
        ("status=succeeded", 1),
        (&format!("status=succeeded&at={at}"), 0),
        (&format!("status=waiting&step=ok&awaiting=anybody&at={at}"), 1),
        ("sort=-ended", 1),
        ("q=step", 1),
        (&format!("q={}", &run[..6]), 1),
        ("at=2020-01-01T00:00:00Z", 0),
    ] {
        let (status, list) = api.get(&format!("/api/v1/runs?{query}")).await;
        assert_eq!((status, list["items"].as_array().map(Vec::len)), (200, Some(wanted)), "{query}: {list}");
    }
    for query in ["sort=size", "at=yesterday", "status=odd"] {
        assert_eq!(api.get(&format!("/api/v1/runs?{query}")).await.0, 422, "{query}");
    }
    let (status, beyond) = api.get("/api/v1/runs?min_position=1000000").await;
    assert_eq!((status, &beyond["code"]), (404, &json!("EF0215")), "{beyond}");
}

#[tokio::test]
async fn a_read_model_is_built_anew_while_it_answers() {
    let api = Api::new();
    api.asking().await;
    let (status, answer) = api.post("/api/v1/projections/runs/rebuild", json!({})).await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(api.get("/api/v1/runs").await.1["items"].as_array().unwrap().len(), 1);
    assert_eq!(api.post("/api/v1/projections/nothing/rebuild", json!({})).await.0, 404);
    let (_, models) = api.get("/api/v1/projections").await;
    let names: Vec<&str> =
        models["items"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["runs", "inbox", "audit", "spend", "notices", "stages"]);
    assert!(models["items"][0]["stopped"].is_null(), "{models}");
}

#[tokio::test]
async fn deliveries_are_paged_by_a_cursor_while_more_come() {
    let api = Api::new();
    let deliver = async |source: &str, id: &str| {
        let path = format!("/api/v1/hooks/{source}/deliveries");
        let (status, answer) = api.post(&path, json!({ "body": "{}", "id": id })).await;
        assert_eq!(status, 201, "{answer}");
    };
    for (source, id) in [("forge", "f1"), ("depot", "d1"), ("forge", "f2"), ("depot", "d2"), ("forge", "f3")]
    {
        deliver(source, id).await;
    }
    let walked = async |path: &str| {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        for page in 0..5 {
            let (status, answer) = api.get(&format!("{path}?limit=2{cursor}")).await;
            assert_eq!(status, 200, "{answer}");
            ids.extend(
                answer["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()),
            );
            match answer["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
            deliver("forge", &format!("late-{path}-{page}").replace('/', "-")).await;
        }
        ids
    };
    assert_eq!(walked("/api/v1/hooks").await, ["f3", "d2", "f2", "d1", "f1"]);
    assert_eq!(walked("/api/v1/hooks/depot/deliveries").await, ["d2", "d1"]);
    let (status, answer) = api.get("/api/v1/hooks?cursor=forge").await;
    assert_eq!((status, answer["code"].as_str()), (422, Some("EF0211")), "{answer}");
}

#[tokio::test]
async fn s10_a_trigger_that_comes_again_gets_its_first_answer_also_where_the_schedule_is_there_no_more() {
    let api = Api::new();
    let saved =
        api.send("PUT", "/api/v1/pipelines/steps", &[], json!({ "definition": STEPS }).to_string()).await;
    assert_eq!(saved.status(), 201);
    let order = async |method: &str, path: &str, key: &str, body: Value| {
        let answer = api.send(method, path, &[("idempotency-key", key)], body.to_string()).await;
        let position = answer.headers().get("everfold-position").cloned();
        (position, read(answer).await)
    };
    let nightly = json!({ "name": "nightly", "pipeline": "steps", "schedule": "0 3 * * *" });
    assert_eq!(order("POST", "/api/v1/schedules", "add", nightly).await.1.0, 201);
    let (one, path) = ("/api/v1/schedules/nightly", "/api/v1/schedules/nightly/trigger");
    let trigger = async |key: &str| order("POST", path, key, Value::Null).await;
    let (first, second) = (trigger("first").await, trigger("second").await);
    for (answer, ticks) in [(&first, 1), (&second, 2)] {
        let (position, (status, view)) = answer;
        assert!(position.is_some() && *status == 200, "{answer:?}");
        assert_eq!((view["ticks"].as_array().unwrap().len(), &view["waiting"]), (ticks, &json!(0)), "{view}");
    }
    assert_eq!(trigger("second").await, second, "while it is there, too");
    assert_eq!(order("DELETE", one, "remove", json!({})).await.1.0, 200);
    for _ in 0..2 {
        assert_eq!(trigger("first").await, first);
        assert_eq!(trigger("second").await, second);
    }
    assert_eq!(api.get("/api/v1/runs").await.1["items"].as_array().unwrap().len(), 2, "and nothing began");
    let (_, (status, problem)) = trigger("another").await;
    assert_eq!((status, &problem["code"]), (404, &json!("EF0223")), "{problem}");
}

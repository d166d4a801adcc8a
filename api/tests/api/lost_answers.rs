//! Writes to the newest run or task whose answer was lost: a repeat with the same key goes to the run of the first
//! time.

use serde_json::{Value, json};

use crate::fixtures::in_memory::{Api, read};

const WAITS: &str = "name: waits\nsteps: [{ id: a, wait: { signal: never } }]\n";
const TWO: &str = "\
name: two
steps:
  - { id: first, approval: { title: First? } }
  - { id: second, approval: { title: Second? } }
";

async fn write(api: &Api, path: &str, body: Value, key: &str) -> (u16, Value) {
    let answer = api.send("POST", path, &[("idempotency-key", key)], body.to_string()).await;
    let (status, body) = read(answer).await;
    (status, body)
}

async fn start(api: &Api, definition: &str) -> String {
    let (status, run) = write(api, "/api/v1/runs", json!({"definition": definition}), &uuid()).await;
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap().to_owned();
    api.until(&run, "waiting").await;
    run
}

fn uuid() -> String {
    format!("{:032x}", everfold_engine::clock::draw_u128())
}

#[tokio::test]
async fn the_repeat_of_a_write_to_the_newest_run_is_not_done_to_a_newer_one() {
    let api = Api::new();
    let first = start(&api, WAITS).await;
    let cancel = "/api/v1/runs/@/cancel";
    assert_eq!(write(&api, cancel, json!({}), "c").await.1["id"], *first);
    let second = start(&api, WAITS).await;
    let (status, again) = write(&api, cancel, json!({}), "c").await;
    assert_eq!((status, &again["id"]), (200, &json!(first)));
    let (_, view) = read(api.send("GET", &format!("/api/v1/runs/{second}"), &[], "").await).await;
    assert_eq!(view["status"], "waiting", "{view}");
    // A run that a write made is the newest itself.
    for verb in ["fork", "restart"] {
        let body = if verb == "fork" { json!({"version": 2}) } else { json!({"from_step": "a"}) };
        let path = format!("/api/v1/runs/@/{verb}");
        let (status, made) = write(&api, &path, body.clone(), verb).await;
        assert_eq!(status, 201, "{verb}: {made}");
        let (_, again) = write(&api, &path, body, verb).await;
        assert_eq!(again["id"], made["id"], "{verb}");
    }
}

#[tokio::test]
async fn the_repeat_of_a_vote_on_the_only_task_does_not_decide_the_next_one() {
    let api = Api::new();
    for name in ["@", "run"] {
        let run = start(&api, TWO).await;
        let path = format!("/api/v1/inbox/{}", if name == "@" { name } else { &run });
        let vote = json!({"decision": "approve"});
        for _ in 0..2 {
            let (status, view) = write(&api, &path, vote.clone(), &format!("vote {name}")).await;
            assert_eq!((status, &view["id"]), (200, &json!(run)), "{view}");
        }
        let (_, tasks) = read(api.send("GET", "/api/v1/inbox", &[], "").await).await;
        let open: Vec<_> = tasks["items"].as_array().unwrap().iter().map(|task| &task["step"]).collect();
        assert!(open.contains(&&json!("second")), "{tasks}");
        // The last one that is open is decided, and the answer of that is lost.
        for _ in 0..2 {
            let (status, view) = write(&api, &path, vote.clone(), &format!("second {name}")).await;
            assert_eq!((status, &view["id"]), (200, &json!(run)), "{view}");
        }
        api.until(&run, "succeeded").await;
    }
}

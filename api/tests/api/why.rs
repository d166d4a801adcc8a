//! `GET /runs/{run}/why` and `GET /why`: causes as a chain, over runs, with the events that show them.

use serde_json::{Value, json};

use crate::fixtures::in_memory::{Api, SENT_BACK, read};

/// The causes as lines: the kind, the sentence, whether an event shows it; runs by the names that they are given.
fn told(causes: &Value, runs: &[(&str, &str)]) -> String {
    fn lines(causes: &Value, depth: usize, found: &mut Vec<String>) {
        for cause in causes.as_array().unwrap() {
            let shown =
                cause["evidence"]["event"].as_str().map(|event| format!(" <{event}>")).unwrap_or_default();
            let (kind, sentence) = (cause["kind"].as_str().unwrap(), cause["sentence"].as_str().unwrap());
            found.push(format!("{}{kind}: {sentence}{shown}", "  ".repeat(depth)));
            lines(&cause["because"], depth + 1, found);
        }
    }
    let mut found = Vec::new();
    lines(causes, 0, &mut found);
    let mut text = found.join("\n");
    for (id, name) in runs {
        text = text.replace(&id[id.len() - 8..], name);
    }
    text
}

/// Starts a run with this title and waits until it has this status.
async fn titled(api: &Api, definition: &str, title: &str, status: &str) -> String {
    api.started(json!({ "definition": definition, "title": title }), status).await
}

/// A run that was sent back and is blocked.
async fn sent_back(api: &Api, deploy: bool) -> String {
    api.started(json!({ "definition": SENT_BACK, "input": { "deploy": deploy } }), "blocked").await
}

async fn why(api: &Api, path: &str) -> Value {
    let (code, answer) = api.get(path).await;
    assert_eq!(code, 200, "{path}: {answer}");
    answer
}

const HALL: &str = "\
name: hall
concurrency: { key: hall, limit: 1 }
steps:
  - { id: ok, approval: { title: Right?, roles: [product] } }
";

#[tokio::test]
async fn a_run_that_waits_for_a_slot_names_its_holder_and_why_that_waits() {
    let api = Api::new();
    let first = titled(&api, HALL, "The first", "waiting").await;
    let second = titled(&api, HALL, "The second", "queued").await;
    let third = titled(&api, HALL, "The third", "queued").await;
    let names = [(first.as_str(), "FIRST"), (second.as_str(), "SECOND"), (third.as_str(), "THIRD")];
    let answer = why(&api, &format!("/api/v1/runs/{third}/why")).await;
    assert_eq!((&answer["status"], &answer["step"]), (&"queued".into(), &Value::Null));
    insta::assert_snapshot!("why_slots", told(&answer["causes"], &names));
    let holder = &answer["causes"][0]["because"][0];
    assert_eq!(holder["subject"]["run"], first);
    assert!(holder["since"].is_string(), "{holder}");
    // The event below is one of the holder's own.
    assert_eq!(holder["because"][0]["evidence"]["run"], first);
    let asked = holder["because"][0]["evidence"]["version"].as_u64().unwrap();
    let (_, events) = api.get(&format!("/api/v1/runs/{first}/events")).await;
    let event = events["items"].as_array().unwrap().iter().find(|event| event["version"] == asked).unwrap();
    assert_eq!(event["event"]["type"], "ApprovalRequested", "{event}");

    // As it was: the slot was free before the first ended, and is held by it at the moment that is asked about.
    let (_, moment) = api.get("/api/v1/moment").await;
    let (code, _) = api.post(&format!("/api/v1/inbox/{first}:ok:1"), json!({ "decision": "approve" })).await;
    assert!(code < 300, "{code}");
    api.until(&first, "succeeded").await;
    api.until(&second, "waiting").await;
    let now = why(&api, &format!("/api/v1/runs/{third}/why")).await;
    assert_eq!(now["causes"][0]["because"][0]["subject"]["run"], second, "{now}");
    let then = why(&api, &format!("/api/v1/runs/{third}/why?at={}", moment["position"])).await;
    assert_eq!(told(&then["causes"], &names), told(&answer["causes"], &names));
    // The state of the second was without what it had waited for, once that was given.
    let (_, then) = api.get(&format!("/api/v1/runs/{second}/state?at={}", moment["position"])).await;
    let slot = json!([{ "kind": "slot", "key": "hall", "holders": [first] }]);
    assert_eq!((&then["status"], &then["awaits"]), (&"queued".into(), &slot));
}

/// The key stood beside the slot, as one that is free.
#[tokio::test]
async fn of_a_key_and_slots_of_which_some_are_free_those_that_are_held_are_named() {
    let api = Api::new();
    let keyed = format!("key: '${{input.k}}'\ninput: {{ required: [k] }}\n{HALL}");
    let first = json!({ "definition": keyed, "input": { "k": "a" } });
    let first = api.started(first, "waiting").await;
    let second = json!({ "definition": keyed, "input": { "k": "b" } });
    let second = api.started(second, "queued").await;
    let answer = why(&api, &format!("/api/v1/runs/{second}/why")).await;
    let causes = answer["causes"].as_array().unwrap();
    assert_eq!(causes.len(), 1, "{answer}");
    assert_eq!(causes[0]["subject"]["name"], "hall", "{answer}");
    assert_eq!(causes[0]["because"][0]["subject"]["run"], first, "{answer}");
}

/// Nothing listed them but the answers of the runs that wait.
#[tokio::test]
async fn limits_list_the_slots_of_concurrency_with_who_holds_them_and_waits() {
    let api = Api::new();
    assert_eq!(why(&api, "/api/v1/engine/limits").await["slots"], json!([]));
    titled(&api, HALL, "The first", "waiting").await;
    titled(&api, HALL, "The second", "queued").await;
    let keyed = HALL.replace("key: hall, limit: 1", "key: other, limit: 2");
    let last = titled(&api, &format!("key: mine\n{keyed}"), "Alone", "waiting").await;
    let slots = why(&api, "/api/v1/engine/limits").await["slots"].clone();
    let hall = json!({ "key": "hall", "limit": 1, "in_use": 1, "waiting": 1 });
    assert_eq!(slots, json!([hall, { "key": "other", "limit": 2, "in_use": 1, "waiting": 0 }]));
    let (code, _) = api.post(&format!("/api/v1/runs/{last}/cancel"), json!({})).await;
    assert!(code < 300, "{code}");
    api.until(&last, "cancelled").await;
    assert_eq!(why(&api, "/api/v1/engine/limits").await["slots"], json!([hall]));
}

const CHILD: &str = "name: child\nsteps: [{ id: ask, question: { title: Which one? } }]\n";
const PARENT: &str = "\
name: parent
steps:
  - { id: below, run: { pipeline: child } }
  - { id: after, function: everfold.noop }
";

#[tokio::test]
async fn a_step_waits_for_a_step_that_waits_for_a_child_that_waits_for_a_person() {
    let api = Api::new();
    let (code, saved) = put(&api, "child", CHILD).await;
    assert!(code < 300, "{saved}");
    let parent = api.started(json!({ "definition": PARENT }), "running").await;
    let child = child_of(&api, &parent).await;
    api.until(&child, "waiting").await;
    let names = [(parent.as_str(), "PARENT"), (child.as_str(), "CHILD")];
    let answer = why(&api, &format!("/api/v1/runs/{parent}/why?step=after")).await;
    assert_eq!(answer["step_status"], "pending");
    insta::assert_snapshot!("why_child", told(&answer["causes"], &names));
    let (code, fault) = api.get(&format!("/api/v1/runs/{parent}/why?step=aftr")).await;
    assert_eq!((code, fault["hint"].as_str().unwrap()), (404, "did you mean after?"));
}

/// The run that the first step of a run started, once it is there.
async fn child_of(api: &Api, parent: &str) -> String {
    loop {
        let (_, view) = api.get(&format!("/api/v1/runs/{parent}")).await;
        if let Some(child) = view["steps"][0]["child"].as_str() {
            return child.to_owned();
        }
        tokio::task::yield_now().await;
    }
}

/// `why` said that no engine drives the child, though the engine that drives its parent does.
#[tokio::test]
async fn an_engine_goes_on_with_a_child_as_with_the_run_that_started_it() {
    let api = Api::new();
    let (code, saved) = put(&api, "hall", HALL).await;
    assert!(code < 300, "{saved}");
    let first = titled(&api, HALL, "The first", "waiting").await;
    let parent = "name: parent\nsteps: [{ id: below, run: { pipeline: hall } }]\n";
    let parent = api.started(json!({ "definition": parent }), "running").await;
    let child = child_of(&api, &parent).await;
    // In its queue something of it goes on: an engine is needed.
    let view = api.until(&child, "queued").await;
    assert_eq!(view["driven"], true, "{view}");
    let names = [(first.as_str(), "FIRST"), (parent.as_str(), "PARENT"), (child.as_str(), "CHILD")];
    for run in [&child, &parent] {
        let answer = why(&api, &format!("/api/v1/runs/{run}/why")).await;
        let told = told(&answer["causes"], &names);
        assert!(told.contains("the run waits for the slot hall") && !told.contains("no engine"), "{told}");
    }
}

/// `why` said of a restart under a pause that it waits for a key which is free, `show` that it waits for it, and `runs` that it is
/// paused.
#[tokio::test]
async fn a_run_that_only_a_pause_keeps_from_its_key_waits_for_the_end_of_the_pause() {
    let api = Api::new();
    let keyed = format!("key: one\n{HALL}");
    let (code, saved) = put(&api, "hall", &keyed).await;
    assert!(code < 300, "{saved}");
    let first = api.started(json!({ "pipeline": "hall" }), "waiting").await;
    let (code, halted) = api.post("/api/v1/engine/pause", json!({ "pipeline": "hall" })).await;
    assert!(code < 300, "{halted}");
    let restart = json!({ "from_step": "ok" });
    let (code, second) = api.post(&format!("/api/v1/runs/{first}/restart"), restart).await;
    assert_eq!(code, 201, "{second}");
    let second = second["id"].as_str().unwrap().to_owned();
    api.until(&first, "cancelled").await;
    let mut view = Value::Null;
    // The key learns of the end of the first behind that end.
    while view["awaits"].as_array().is_none_or(|awaits| awaits.len() != 1) {
        view = api.until(&second, "paused").await;
        tokio::task::yield_now().await;
    }
    assert_eq!(view["awaits"], json!([{ "kind": "resume" }]), "{view}");
    assert_eq!(view["waits_for_slots"], true, "it has not got it");
    let answer = why(&api, &format!("/api/v1/runs/{second}/why")).await;
    assert_eq!(told(&answer["causes"], &[]), "paused: the pipeline hall is paused <RunHalted>");
    let (_, runs) = api.get("/api/v1/runs?status=paused").await;
    assert_eq!(runs["items"][0]["note"], "the pipeline hall is paused", "{runs}");
}

/// `show` named the first of two such runs as the holder of the slot, and `why` of the folder said that both wait for it.
#[tokio::test]
async fn runs_that_begin_under_a_pause_wait_for_its_end_and_not_for_each_other() {
    let api = Api::new();
    assert!(put(&api, "hall", HALL).await.0 < 300);
    let (code, halted) = api.post("/api/v1/engine/pause", json!({ "pipeline": "hall" })).await;
    assert!(code < 300, "{halted}");
    let first = api.started(json!({ "pipeline": "hall" }), "paused").await;
    let second = api.started(json!({ "pipeline": "hall" }), "paused").await;
    for run in [&first, &second] {
        let (_, view) = api.get(&format!("/api/v1/runs/{run}")).await;
        assert_eq!(view["awaits"], json!([{ "kind": "resume" }]), "{view}");
    }
    let answer = why(&api, "/api/v1/why").await;
    let paused = answer["causes"].as_array().unwrap().last().unwrap();
    let own: Vec<&Value> = paused["because"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|run| run["because"].as_array().unwrap())
        .collect();
    assert_eq!(own.len(), 2, "{answer}");
    assert!(own.iter().all(|cause| cause["sentence"] == "the pipeline hall is paused"), "{answer}");
}

async fn put(api: &Api, name: &str, text: &str) -> (u16, Value) {
    let body = json!({ "definition": text }).to_string();
    read(api.send("PUT", &format!("/api/v1/pipelines/{name}"), &[], body).await).await
}

#[tokio::test]
async fn what_was_sent_back_passed_over_and_blocked_is_told_with_its_gate_and_its_values() {
    let api = Api::new();
    let run = sent_back(&api, true).await;
    let answer = why(&api, &format!("/api/v1/runs/{run}/why")).await;
    insta::assert_snapshot!("sent_back", told(&answer["causes"], &[]));
    for step in ["build", "review", "deploy"] {
        let of_step = why(&api, &format!("/api/v1/runs/{run}/why?step={step}")).await;
        insta::assert_snapshot!(format!("sent_back_{step}"), told(&of_step["causes"], &[]));
    }
    // The first version that it had, and one that it never had.
    let first = why(&api, &format!("/api/v1/runs/{run}/why?version=1")).await;
    assert_eq!(first["version"], 1);
    assert!(!first["causes"].as_array().unwrap().is_empty(), "{first}");
    for version in ["0", "9999"] {
        let (code, fault) = api.get(&format!("/api/v1/runs/{run}/why?version={version}")).await;
        assert_eq!((code, &fault["code"]), (404, &"EF0215".into()), "{fault}");
    }
}

#[tokio::test]
async fn every_version_of_a_run_has_causes_and_an_end() {
    let api = Api::new();
    let run = sent_back(&api, false).await;
    let (_, view) = api.get(&format!("/api/v1/runs/{run}")).await;
    for version in 1..=view["version"].as_u64().unwrap() {
        let answer = why(&api, &format!("/api/v1/runs/{run}/why?version={version}")).await;
        assert!(!answer["causes"].as_array().unwrap().is_empty(), "version {version}: {answer}");
    }
    let (code, _) = api.post(&format!("/api/v1/runs/{run}/cancel"), json!({ "reason": "enough" })).await;
    assert!(code < 300);
    api.until(&run, "cancelled").await;
    let answer = why(&api, &format!("/api/v1/runs/{run}/why")).await;
    insta::assert_snapshot!("sent_back_cancelled", told(&answer["causes"], &[]));
}

/// A step that waits for time, for people or for its next attempt said no more than that, and the run did not go on when it came.
#[tokio::test]
async fn a_step_of_a_paused_run_that_waits_is_told_with_the_pauses() {
    let api = Api::new();
    let again = "name: again\nsteps: [{ id: a, function: everfold.sleep, with: { for: 1h }, timeout: 1ms, retry: { attempts: 3, backoff: 1h..2h, only: [timeout] } }]\n";
    let nap = "name: nap\nsteps: [{ id: a, wait: { for: 1h } }]\n";
    let ask = "name: ask\nsteps: [{ id: done, function: everfold.noop }, { id: a, needs: [done], approval: { title: Right? } }, { id: b, needs: [a], function: everfold.noop }]\n";
    for (definition, waits) in
        [(nap, "a waits for its time"), (ask, "a waits for the approval"), (again, "attempt 2 of")]
    {
        let run = titled(&api, definition, "Paused", "waiting").await;
        let (code, _) = api.post(&format!("/api/v1/runs/{run}/pause"), json!({ "reason": "a talk" })).await;
        assert!(code < 300, "{code}");
        let pipeline = definition.split(['\n', ' ']).nth(1).unwrap();
        let halt = json!({ "pipeline": pipeline, "reason": "a migration" });
        let (code, _) = api.post("/api/v1/engine/pause", halt).await;
        assert!(code < 300, "{code}");
        let answer = why(&api, &format!("/api/v1/runs/{run}/why?step=a")).await;
        let lines: Vec<String> = told(&answer["causes"], &[]).lines().map(str::to_owned).collect();
        let halted = format!("paused: the pipeline {pipeline} is paused: a migration <RunHalted>");
        assert_eq!(
            lines[..2],
            ["paused: the run is paused by user:ada: a talk <RunPaused>".to_owned(), halted]
        );
        assert!(lines[2].contains(waits), "{lines:?}");
        if waits.contains("approval") {
            let after = why(&api, &format!("/api/v1/runs/{run}/why?step=b")).await;
            assert_eq!(after["causes"][0]["kind"], "paused", "{after}");
            let done = why(&api, &format!("/api/v1/runs/{run}/why?step=done")).await;
            assert_eq!(done["causes"][0]["kind"], "succeeded", "nothing holds up what has ended: {done}");
        }
        // The list and the folder tell of both; of the one that is left when the other is lifted.
        let (_, row) = api.get(&format!("/api/v1/runs?filter=id%20%3D%3D%20'{run}'")).await;
        let note = format!("a talk; the pipeline {pipeline} is paused: a migration");
        assert_eq!(row["items"][0]["note"], note, "{row}");
        let (code, _) = api.post("/api/v1/engine/resume", json!({ "pipeline": pipeline })).await;
        assert!(code < 300, "{code}");
        let (_, row) = api.get(&format!("/api/v1/runs?filter=id%20%3D%3D%20'{run}'")).await;
        assert_eq!(row["items"][0]["note"], "a talk", "{row}");
    }
}

#[tokio::test]
async fn why_nothing_happens_names_pauses_queues_and_what_people_are_asked() {
    let api = Api::new();
    let empty = why(&api, "/api/v1/why").await;
    assert_eq!((&empty["open"], &empty["causes"]), (&0.into(), &json!([])));
    let first = titled(&api, HALL, "The first", "waiting").await;
    let second = titled(&api, HALL, "The second", "queued").await;
    let blocked = sent_back(&api, true).await;
    let (code, _) =
        api.post("/api/v1/engine/pause", json!({ "pipeline": "nightly", "reason": "a migration" })).await;
    assert!(code < 300, "{code}");
    let names = [(first.as_str(), "FIRST"), (second.as_str(), "SECOND"), (blocked.as_str(), "BLOCKED")];
    let answer = why(&api, "/api/v1/why").await;
    assert_eq!(answer["open"], 3);
    insta::assert_snapshot!("why_nothing", told(&answer["causes"], &names));
}

#[tokio::test]
async fn why_nothing_happens_says_of_each_run_what_it_waits_for_itself() {
    let api = Api::new();
    let signal = "name: of-signal\nsteps: [{ id: go, wait: { signal: ci } }]\n";
    let retry = "name: of-retry\nsteps: [{ id: nap, wait: { for: 1h } }]\n";
    let (go, nap) = (titled(&api, signal, "A", "waiting").await, titled(&api, retry, "B", "waiting").await);
    let answer = why(&api, "/api/v1/why").await;
    let group = answer["causes"].as_array().unwrap().last().unwrap();
    let runs = group["because"].as_array().unwrap();
    let of = |at: usize| {
        let own = &runs[at]["because"][0];
        (runs[at]["subject"]["run"].clone(), runs[at]["kind"].clone(), own["sentence"].clone())
    };
    assert_eq!(of(0), (json!(go), json!("signal"), json!("go waits for the signal ci")), "{answer}");
    assert_eq!(of(1), (json!(nap), json!("timer"), json!("nap waits for its time")));
    assert_eq!(runs[0]["because"][0]["evidence"]["run"], go, "the event is one of that run");
}

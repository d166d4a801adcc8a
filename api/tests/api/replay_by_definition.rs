//! What another definition would decide on the recorded inputs of a run: by REST, and on the pages.

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::fixtures::in_memory::{Api, STEPS, read};

/// A gate looks at the first step.
const GATED: &str = "\
name: steps
steps:
  - id: a
    function: everfold.echo
    with: { n: 3 }
    gates: [{ id: large, expression: output.n > 2 }]
  - id: ok
    approval: { title: Right? }
  - id: b
    function: everfold.noop
";

async fn save(api: &Api, definition: &str) {
    let body = json!({ "definition": definition }).to_string();
    let (status, saved) = read(api.send("PUT", "/api/v1/pipelines/steps", &[], body).await).await;
    assert!(status < 300, "{saved}");
}

/// A run of what is saved, which waits for its approval.
async fn waiting(api: &Api) -> String {
    let (status, run) = api.post("/api/v1/runs", json!({ "pipeline": "steps" })).await;
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap().to_owned();
    api.until(&run, "waiting").await;
    run
}

async fn page(api: &Api, path: &str) -> String {
    let answer = api.send("GET", path, &[], Body::empty()).await;
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn the_current_definition_decides_the_same_while_it_is_the_pinned_one() {
    let api = Api::new();
    save(&api, GATED).await;
    let run = waiting(&api).await;
    let (status, replay) = api.get(&format!("/api/v1/runs/{run}/replay?definition=current")).await;
    assert_eq!(status, 200, "{replay}");
    let by = &replay["definition"];
    assert_eq!((&by["name"], &by["version"], &by["pinned"]), (&json!("steps"), &json!(1), &json!(true)));
    assert_eq!((&replay["differences"], &by["otherwise"], &by["unfit"]), (&json!([]), &json!(0), &json!(0)));
    assert!(page(&api, &format!("/runs/{run}/debug/replay")).await.contains("there is nothing to compare"));
    let here = page(&api, &format!("/runs/{run}/debug?version=3&today=1")).await;
    assert!(here.contains("there is nothing to compare"), "{here}");
}

#[tokio::test]
async fn a_gate_that_is_stricter_now_shows_where_it_would_have_said_otherwise() {
    let api = Api::new();
    save(&api, GATED).await;
    let run = waiting(&api).await;
    save(&api, &GATED.replace("output.n > 2", "output.n > 5")).await;
    let path = format!("/api/v1/runs/{run}/replay");
    // The probe is another expression now, and its evidence is recorded: what decides is the policy.
    save(&api, &GATED.replace("output.n > 2 }", "output.n > 2, policy: '!evidence.value' }")).await;
    let (status, replay) = api.get(&format!("{path}?definition=current")).await;
    assert_eq!(status, 200, "{replay}");
    assert_eq!(
        (&replay["definition"]["version"], &replay["definition"]["otherwise"]),
        (&json!(3), &json!(1))
    );
    let difference = &replay["differences"][0];
    let message = difference["message"].as_str().unwrap();
    assert!(message.contains("gate “large” of step “a” said pass; it would say fail"), "{message}");
    let version = difference["version"].as_u64().unwrap();
    let (_, one) = api.get(&format!("{path}?definition=steps@3&version={version}")).await;
    assert_eq!((&one["inputs"], &one["decision"]["version"]), (&json!(1), &json!(version)));
    let kinds = |events: &Value| -> Vec<String> {
        events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    assert!(kinds(&one["decision"]["recorded"]).contains(&"ApprovalRequested".to_owned()), "{one}");
    assert!(!kinds(&one["decision"]["decided"]).contains(&"ApprovalRequested".to_owned()), "{one}");
    let hash = replay["definition"]["hash"].as_str().unwrap();
    let (_, by_hash) = api.get(&format!("{path}?definition={hash}")).await;
    assert_eq!(by_hash["definition"], replay["definition"]);
    let all = page(&api, &format!("/runs/{run}/debug/replay")).await;
    assert!(all.contains(&format!("would decide otherwise from version {version} on")), "{all}");
    assert!(all.contains(&format!("debug?version={version}&#38;today=1#today")), "{all}");
    let here = page(&api, &format!("/runs/{run}/debug?version={version}&today=1")).await;
    assert!(here.contains("steps@3 would decide otherwise here"), "{here}");
    let before = page(&api, &format!("/runs/{run}/debug?version=1&today=1")).await;
    assert!(before.contains("steps@3 would decide the same here"), "{before}");
}

#[tokio::test]
async fn a_definition_without_what_has_begun_does_not_fit_and_the_page_says_so() {
    let api = Api::new();
    save(&api, GATED).await;
    let run = waiting(&api).await;
    let text = GATED.replace("id: a\n", "id: first\n");
    let path = format!("/api/v1/runs/{run}/replay");
    let (status, replay) = api.post(&path, json!({ "definition": text })).await;
    assert_eq!(status, 200, "{replay}");
    assert_eq!(replay["definition"]["unfit"], 1, "{replay}");
    assert_eq!(replay["definition"].get("version"), None, "it is not saved");
    let last = replay["differences"].as_array().unwrap().last().unwrap();
    assert_eq!(last["misfits"], json!([{ "step": "a", "why": "there is no such step" }]));
    let version = last["version"].as_u64().unwrap();
    assert!(last["until"].as_u64().unwrap() > version);
    save(&api, &text).await;
    let here = page(&api, &format!("/runs/{run}/debug?version={version}&today=1")).await;
    assert!(here.contains("steps@2 does not fit here") && here.contains("there is no such step"), "{here}");
}

#[tokio::test]
async fn what_cannot_be_decided_by_is_refused_clearly() {
    let api = Api::new();
    let run = api.asking().await;
    let path = format!("/api/v1/runs/{run}/replay");
    let (status, none) = api.get(&format!("{path}?definition=current")).await;
    assert_eq!((status, &none["code"]), (404, &json!("EF0205")), "{none}");
    assert!(none["detail"].as_str().unwrap().contains("no pipeline “steps” is saved"), "{none}");
    assert!(page(&api, &format!("/runs/{run}/debug/replay")).await.contains("no pipeline “steps” is saved"));
    let here = page(&api, &format!("/runs/{run}/debug?version=2&today=1")).await;
    assert!(here.contains("no pipeline “steps” is saved"), "{here}");
    let unknown = "0".repeat(64);
    for (query, status, code) in [
        ("definition=nothing", 404, "EF0205"),
        ("definition=steps@7", 404, "EF0205"),
        (&*format!("definition={unknown}"), 404, "EF0205"),
        ("definition=delivery", 409, "EF0315"),
        ("definition=", 404, "EF0205"),
    ] {
        let (found, problem) = api.get(&format!("{path}?{query}")).await;
        assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{query}: {problem}");
    }
    let own = json!({ "definition": STEPS, "version": 9_999 });
    let (status, late) = api.post(&path, own).await;
    assert_eq!((status, &late["code"]), (404, &json!("EF0215")), "{late}");
    assert_eq!(api.post(&path, json!({})).await.1["code"], "EF0205", "without either it is the current one");
    let (status, own) = api.get(&format!("{path}?version=3")).await;
    assert_eq!((status, &own["definition"]["pinned"], &own["differences"]), (200, &json!(true), &json!([])));
    assert!(own["decision"]["recorded"].as_array().is_some_and(|events| !events.is_empty()), "{own}");
    let last = api.held.node().store().last_position();
    assert_eq!(api.post(&path, json!({ "definition": STEPS })).await.0, 200);
    assert_eq!(api.held.node().store().last_position(), last, "nothing is recorded");
}

/// A run of its own by name, and one for each item that is written in place.
const BOSS: &str = "\
name: boss
steps:
  - id: hire
    run: { pipeline: steps }
  - id: each
    foreach:
      in: [x, y]
      steps:
        - id: inner
          function: everfold.echo
          with: { n: 3 }
          gates: [{ id: kept, expression: output.n > 2 }]
";

/// The first step of [`GATED`] alone: a run of it ends by itself.
const CHILD: &str = "\
name: steps
steps:
  - id: a
    function: everfold.echo
    with: { n: 3 }
    gates: [{ id: large, expression: output.n > 2 }]
";

#[tokio::test]
async fn runs_below_are_decided_by_what_their_steps_start_today() {
    let api = Api::new();
    let save_as = async |name: &str, definition: &str| {
        let body = json!({ "definition": definition }).to_string();
        let path = format!("/api/v1/pipelines/{name}");
        let (status, saved) = read(api.send("PUT", &path, &[], body).await).await;
        assert!(status < 300, "{saved}");
    };
    save_as("steps", CHILD).await;
    save_as("boss", BOSS).await;
    let (status, run) = api.post("/api/v1/runs", json!({ "pipeline": "boss" })).await;
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap().to_owned();
    api.until(&run, "succeeded").await;
    let path = format!("/api/v1/runs/{run}/replay");
    let (status, same) = api.get(&format!("{path}?definition=current")).await;
    assert_eq!(status, 200, "{same}");
    let below = &same["below"];
    assert_eq!(below["items"].as_array().map(Vec::len), Some(3), "{same}");
    assert_eq!((&below["otherwise"], &below["unfit"], &below["more"]), (&json!(0), &json!(0), &json!(false)));

    let stricter = |text: &str| text.replace("output.n > 2 }", "output.n > 2, policy: '!evidence.value' }");
    save_as("steps", &stricter(CHILD)).await;
    save_as("boss", &stricter(BOSS)).await;
    let (_, replay) = api.get(&format!("{path}?definition=current")).await;
    let below = &replay["below"];
    assert_eq!((&below["otherwise"], &below["unfit"]), (&json!(3), &json!(0)), "{replay}");
    let of = |step: &str| {
        let items = below["items"].as_array().unwrap();
        items.iter().find(|item| item["step"] == step).unwrap().clone()
    };
    let hired = of("hire");
    assert_eq!((&hired["definition"]["name"], &hired["definition"]["version"]), (&json!("steps"), &json!(2)));
    let message = hired["first"]["message"].as_str().unwrap();
    assert!(message.contains("gate “large” of step “a” said pass; it would say fail"), "{message}");
    let message = of("each.1")["first"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("gate “kept” of step “inner” said pass; it would say fail"), "{message}");
    let shown = page(&api, &format!("/runs/{run}/debug/replay")).await;
    assert!(shown.contains("3 of the runs below would not go as they did"), "{shown}");
    assert!(shown.contains("gate “kept” of step “inner” said pass; it would say fail"), "{shown}");

    let gone = "name: boss\nsteps:\n  - { id: hire, function: everfold.noop }\n";
    let (_, replay) = api.post(&path, json!({ "definition": gone })).await;
    let why: Vec<&Value> = replay["below"]["items"].as_array().unwrap().iter().map(|it| &it["why"]).collect();
    assert_eq!(
        why,
        ["the step “hire” of boss starts no run", "boss has no step “each”", "boss has no step “each”"],
        "{replay}"
    );
    assert_eq!(replay["below"]["unfit"], 3);
    let (_, one) = api.get(&format!("{path}?definition=current&version=2")).await;
    assert_eq!(one.get("below"), None, "a version is one of this run: {one}");
}

//! One thing has one shape: a run in a list, on the board, alone, in streams and in events; and the document says so.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use everfold_api::access::Caller;
use everfold_api::embed::{Call, Function, StepError, Usage};
use everfold_api::http::document;
use everfold_api::node::HoldOptions;
use everfold_api::serve::{self, NodeGuard};
use everfold_engine::data_folder::Layout;
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

const CHILD: &str = "\
name: child
steps:
  - id: pay
    function: shop.pay
";

const BOSS: &str = "\
name: boss
steps:
  - id: hire
    run: { pipeline: child }
";

const ASKS: &str = "\
name: asks
steps:
  - id: pay
    function: shop.pay
    on_fail: block
  - id: ok
    needs: []
    approval: { title: Right?, roles: [product] }
";

/// Fields of a run that only lists have.
const OF_LISTS: [&str; 8] =
    ["active_steps", "moved_at", "note", "position", "progress", "set_aside", "since", "step_counts"];

struct Api {
    held: NodeGuard,
    _folder: tempfile::TempDir,
}

/// Costs a quarter of a dollar, and comes to nothing.
async fn pay(call: Call, _with: Value) -> Result<Value, StepError> {
    let usage = Usage {
        model: Some("m".into()),
        input_tokens: 10,
        cached_tokens: 5,
        output_tokens: 7,
        ..Usage::default()
    };
    call.usage(Usage { cost_micros: 250_000, ..usage });
    Err(StepError::new("the card was refused").code("CARD"))
}

impl Api {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options =
            HoldOptions { functions: vec![Function::new("shop.pay", pay)], ..HoldOptions::default() };
        Self {
            held: serve::hold(Layout::new(folder.path().join("data")), options).await.unwrap(),
            _folder: folder,
        }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).extension(Caller::local("ada"));
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = self.held.routes().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn well(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, path, body).await;
        assert!(status < 400, "{method} {path}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.well("GET", path, Value::Null).await
    }

    async fn start(&self, body: Value) -> String {
        self.well("POST", "/api/v1/runs", body).await["id"].as_str().unwrap().to_owned()
    }

    async fn until(&self, run: &str, status: &str) -> Value {
        let looked = async {
            let mut events = self.held.node().store().subscribe(everfold_engine::id::Position::FIRST);
            loop {
                let view = self.get(&format!("/api/v1/runs/{run}")).await;
                if view["status"] == status {
                    return view;
                }
                let _more = tokio::time::timeout(Duration::from_millis(50), events.next()).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), looked).await.unwrap()
    }
}

/// Every field of a part is in the whole, with the same value.
fn within(part: &Value, whole: &Value, at: &str) {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            for (name, value) in part {
                let other = whole.get(name).unwrap_or_else(|| panic!("{at}.{name} is not in the whole"));
                within(value, other, &format!("{at}.{name}"));
            }
        }
        _plain => assert_eq!(part, whole, "{at}"),
    }
}

/// Compares a run's row of the list with its own view.
fn same_run(row: &Value, alone: &Value) {
    let row = row.as_object().unwrap();
    let mut only: Vec<&str> = Vec::new();
    for (name, value) in row {
        match (alone.get(name), name.as_str()) {
            (Some(whole), "awaits") => {
                for awaits in value.as_array().unwrap() {
                    let of_step = |it: &&Value| it["step"] == awaits["step"] && it["kind"] == awaits["kind"];
                    let found = whole.as_array().unwrap().iter().find(of_step);
                    within(awaits, found.unwrap_or(&Value::Null), name);
                }
            }
            (Some(whole), _) => within(value, whole, name),
            // Left out where there is none.
            (None, "parent" | "origin") => assert_eq!(*value, Value::Null, "{name}"),
            (None, _) => only.push(name),
        }
    }
    assert_eq!(only, OF_LISTS);
}

fn listed<'a>(list: &'a Value, run: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|row| row["id"] == run).unwrap()
}

fn cards(board: &Value) -> Value {
    let columns = board["columns"].as_array().unwrap().iter();
    columns.flat_map(|column| column["cards"].as_array().unwrap().clone()).collect()
}

#[tokio::test]
async fn row_59_a_run_is_told_the_same_in_lists_boards_streams_and_alone() {
    let api = Api::new().await;
    api.well("PUT", "/api/v1/pipelines/child", json!({ "definition": CHILD })).await;
    let boss = api.start(json!({ "definition": BOSS, "title": "One", "labels": { "team": "core" } })).await;
    let asks = api.start(json!({ "definition": ASKS })).await;
    api.until(&boss, "failed").await;
    api.until(&asks, "blocked").await;
    let position = api.held.node().store().last_position().get();
    let list = api.get(&format!("/api/v1/runs?min_position={position}")).await["items"].clone();
    let board = cards(&api.get(&format!("/api/v1/board?min_position={position}")).await);
    let stages = cards(&api.get("/api/v1/board?group_by=stage").await);
    let child = list.as_array().unwrap().iter().find(|row| row["pipeline"] == "child").unwrap();
    let child = child["id"].as_str().unwrap();
    for run in [boss.as_str(), asks.as_str(), child] {
        let (row, alone) = (listed(&list, run), api.get(&format!("/api/v1/runs/{run}")).await);
        same_run(row, &alone);
        assert_eq!(listed(&board, run), row, "a card is the row of the list");
        assert_eq!(listed(&stages, run), row);
        let state = api.get(&format!("/api/v1/runs/{run}/state?version={}", alone["version"])).await;
        within(&json!({ "usage": row["usage"], "failure": state["failure"] }), &alone, "state");
    }

    // A cost and a failure, in every answer that has them.
    let (row, alone) = (listed(&list, child), api.get(&format!("/api/v1/runs/{child}")).await);
    assert_eq!(row["usage"], json!({ "input_tokens": 15, "output_tokens": 7, "cost_usd": "0.250000" }));
    assert_eq!(row["usage"], alone["usage"]);
    let failure = json!({
        "kind": "error", "code": "CARD", "message": "the card was refused",
        "hint": alone["failure"]["hint"], "exit_code": null, "step": "pay",
    });
    assert_eq!(row["failure"], failure);
    assert_eq!(row["note"], "the card was refused");
    assert_eq!(row["parent"], alone["parent"]);
    assert_eq!(row["parent"]["run"], json!(boss));
    assert_eq!(row["parent"]["top"], json!(boss));
    let below = api.get(&format!("/api/v1/runs?top={boss}&min_position={position}")).await;
    assert_eq!((below["items"].as_array().unwrap().len(), &below["items"][0]["id"]), (1, &row["id"]));
    let spent = api.get(&format!("/api/v1/spend?run={child}")).await;
    assert_eq!(spent["total"]["cost_usd"], row["usage"]["cost_usd"]);
    let end = api.get(&format!("/api/v1/runs/{child}/timeline")).await["items"][0]["end"]["failure"].clone();
    within(&end, &alone["steps"][0]["failure"], "end");
    let events = api.get(&format!("/api/v1/runs/{child}/events?limit=1000")).await["items"].clone();
    let of = |kind: &str| -> Vec<Value> {
        let events = events.as_array().unwrap().iter().map(|event| event["event"].clone());
        events.filter(|event| event["type"] == kind).collect()
    };
    let recorded = &of("RunFailed")[0];
    for name in ["kind", "code", "message", "exit_code"] {
        assert_eq!(recorded["failure"][name], failure[name], "{name}");
    }
    assert_eq!(recorded["path"]["step"], failure["step"]);
    let micros: u64 = of("UsageRecorded").iter().map(|it| it["usage"]["cost_micros"].as_u64().unwrap()).sum();
    assert_eq!(micros, 250_000);

    // The streams: an event as the list of events has it, the state as the run alone.
    let (_, stream) =
        api.send("GET", &format!("/api/v1/runs/{child}/events/stream?live=true"), Value::Null).await;
    let mut seen: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for chunk in stream.split("\n\n") {
        let field = |name: &str| chunk.lines().find_map(|line| line.strip_prefix(name));
        if let (Some(kind), Some(data)) = (field("event: "), field("data: ")) {
            seen.entry(kind).or_default().push(serde_json::from_str(data).unwrap());
        }
    }
    assert_eq!(&json!(seen["event"]), &events);
    assert_eq!(seen["state"].last().unwrap(), &alone);

    // The people that a run waits for, in its own view and in the inbox.
    let alone = api.get(&format!("/api/v1/runs/{asks}")).await;
    assert_eq!(
        listed(&list, &asks)["awaits"],
        json!([
            { "step": "ok", "kind": "approval", "roles": ["product"] },
            { "step": "pay", "kind": "unblock", "roles": [] },
        ])
    );
    let inbox = api.get("/api/v1/inbox").await["items"].clone();
    let task = inbox.as_array().unwrap().iter().find(|task| task["kind"] == "approval").unwrap();
    let awaits = alone["awaits"].as_array().unwrap().iter().find(|it| it["kind"] == "approval").unwrap();
    for name in ["step", "title", "show", "value", "votes", "expires_at"] {
        assert_eq!(task[name], awaits[name], "{name}");
    }
    assert_eq!((&task["id"], &task["terms"]["roles"]), (&awaits["task"], &awaits["roles"]));
    api.held.release().await;
}

/// Schemas of one thing: what has a name in two of them is the same in both.
const THINGS: [(&str, &[&str]); 8] = [
    ("run", &["RunView", "RunRow", "AbandonedAnswer"]),
    ("failure", &["FailureView", "RowFailure", "AttemptFailure"]),
    ("awaited", &["Awaits"]),
    ("usage", &["UsageView", "SpendItem", "UsageBody"]),
    ("token", &["Token", "TokenMade"]),
    ("decision", &["Decision", "RunDecision", "ListedDecision"]),
    ("attempt of a worker", &["Job", "HeldView", "Taken"]),
    ("schedule", &["ScheduleView", "AddBody"]),
];

/// A schema without what is said for readers, and things by what they are.
fn bare(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let is_for_readers = |key: &str| ["description", "example", "examples", "default"].contains(&key);
            let kept = map.iter().filter(|(key, _)| !is_for_readers(key));
            let bared: Map<String, Value> = kept.map(|(key, value)| (key.clone(), bare(value))).collect();
            Value::Object(bared)
        }
        Value::Array(items) => items.iter().map(bare).collect(),
        Value::String(text) => {
            let name = text.rsplit('/').next().unwrap_or_default();
            let thing = THINGS.iter().find(|(_, names)| text.starts_with('#') && names.contains(&name));
            thing.map_or_else(|| schema.clone(), |(thing, _)| json!(thing))
        }
        plain => plain.clone(),
    }
}

fn properties(schema: &Value, into: &mut BTreeMap<String, Value>) {
    for part in schema["allOf"].as_array().into_iter().flatten() {
        properties(part, into);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        into.insert(name.clone(), bare(property));
    }
}

/// Whether what one says may be of the other: a request may leave out what an answer has.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
        if let [one] = kinds.as_slice() {
            schema["type"] = one.clone();
        }
    }
    schema
}

#[test]
fn row_59_the_document_says_the_same_of_a_field_wherever_a_thing_has_it() {
    let schemas = &document()["components"]["schemas"];
    let mut compared = 0;
    for (thing, names) in THINGS {
        let mut known: BTreeMap<String, (&str, Value)> = BTreeMap::new();
        for name in names {
            assert!(schemas[*name].is_object(), "there is no schema {name}");
            let mut own = BTreeMap::new();
            properties(&schemas[*name], &mut own);
            for (field, schema) in own {
                // What a request brings is of a wider form than what is answered.
                if name.ends_with("Body") && ["schedule", "name", "input"].contains(&field.as_str()) {
                    continue;
                }
                if thing == "run" && field == "awaits" {
                    continue; // The people among all that it awaits; the values are compared above.
                }
                let known = known.entry(field.clone()).or_insert_with(|| (*name, schema.clone()));
                compared += usize::from(known.0 != *name);
                assert_eq!(
                    without_null(&known.1),
                    without_null(&schema),
                    "{thing}.{field} of {} and of {name}",
                    known.0
                );
            }
        }
    }
    assert!(compared >= 40, "{compared}");
}

#[tokio::test]
async fn tokens_read_count_those_from_a_cache_in_every_answer_and_an_empty_label_is_no_unknown_one() {
    let api = Api::new().await;
    let labelled = api.start(json!({ "definition": CHILD, "labels": { "team": "" } })).await;
    let without = api.start(json!({ "definition": CHILD })).await;
    for run in [&labelled, &without] {
        assert_eq!(api.until(run, "failed").await["usage"]["input_tokens"], 15);
    }
    let position = api.held.node().store().last_position().get();
    let spent = api.get(&format!("/api/v1/spend?by=label:team&min_position={position}")).await;
    let mut groups: Vec<(&str, &Value, &Value)> = spent["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["name"].as_str().unwrap(), &item["input_tokens"], &item["cached_tokens"]))
        .collect();
    groups.sort_by_key(|(name, ..)| *name);
    assert_eq!(groups, [("", &json!(15), &json!(5)), ("\"\"", &json!(15), &json!(5))], "{spent}");
    assert_eq!(spent["total"]["input_tokens"], 30);
}

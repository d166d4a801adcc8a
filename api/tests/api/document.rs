//! The OpenAPI document against the routes: it lists them all, they answer as it says, and every role may what
//! the table of rights says.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response};
use everfold_api::access::Caller;
use everfold_api::access::{RequiredRole, needed};
use everfold_api::http::document;
use everfold_api::serve::{self, NodeGuard};
use everfold_engine::actor::Actor;
use everfold_engine::data_folder::Layout;
use everfold_engine::tokens::Role;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// An operation of the document.
struct Operation {
    method: Method,
    path: String,
    about: Value,
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(document()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, about) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            all.push(Operation { method, path: path.clone(), about: about.clone() });
        }
    }
    all
}

impl Operation {
    /// Its path with the examples of the document in it, or what is given.
    fn filled(&self, given: &[(&str, &str)]) -> String {
        let mut path = self.path.clone();
        for parameter in self.about["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] != "path" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let example =
                parameter["example"].as_str().map_or_else(|| parameter["example"].to_string(), str::to_owned);
            let value =
                given.iter().find(|(known, _)| *known == name).map_or(example.as_str(), |(_, value)| value);
            path = path.replace(&format!("{{{name}}}"), value);
        }
        path
    }
}

struct Api {
    held: NodeGuard,
    _folder: tempfile::TempDir,
}

impl Api {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { held: serve::imagine(Layout::new(folder.path().join("data"))).unwrap(), _folder: folder }
    }

    async fn send(&self, caller: Caller, method: &Method, path: &str, body: &Value) -> Response<Body> {
        let request = Request::builder().method(method).uri(path).extension(caller);
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.held.routes().oneshot(request.body(body).unwrap()).await.unwrap()
    }

    /// Answers with what the document says, or the test fails.
    async fn fits(
        &self,
        method: Method,
        path: &str,
        given: &[(&str, &str)],
        query: &str,
        body: Value,
    ) -> (u16, Value) {
        let operation = operations().into_iter().find(|it| it.method == method && it.path == path);
        let operation = operation.unwrap_or_else(|| panic!("{method} {path} is not in the document"));
        let place = format!("{}{query}", operation.filled(given));
        let response = self.send(Caller::local("ada"), &method, &place, &body).await;
        let status = response.status().as_u16();
        let answers = &operation.about["responses"][status.to_string()];
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        if kind.as_deref() == Some("text/event-stream") {
            return (status, Value::Null);
        }
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        assert!(!answers.is_null(), "{method} {place}: {status} is not in the document: {answer}");
        let whole = closed();
        let answers = match answers["$ref"].as_str() {
            Some(reference) => whole.pointer(&reference[1..]).unwrap(),
            None => answers,
        };
        if let Some(kind) = kind {
            let content = &answers["content"][&kind];
            assert!(
                !content.is_null(),
                "{method} {place}: {status} {kind} is not in the document: {answers}"
            );
            if ["application/json", "application/problem+json"].contains(&kind.as_str()) {
                let mut schema = content["schema"].clone();
                schema["components"] = whole["components"].clone();
                let schema = jsonschema::validator_for(&schema).unwrap();
                let errors: Vec<String> = schema
                    .iter_errors(&answer)
                    .map(|error| format!("{} at {}", error, error.instance_path()))
                    .collect();
                assert!(errors.is_empty(), "{method} {place}: {status} {answer:#}\n{errors:#?}");
            }
        }
        (status, answer)
    }

    /// The same, and it is no error.
    async fn well(
        &self,
        method: Method,
        path: &str,
        given: &[(&str, &str)],
        query: &str,
        body: Value,
    ) -> Value {
        let (status, answer) = self.fits(method.clone(), path, given, query, body).await;
        assert!(status < 400, "{method} {path}: {answer:#}");
        answer
    }
}

/// The document with objects that have no other fields than it says.
fn closed() -> Value {
    fn close(schema: &mut Value, is_part: bool) {
        match schema {
            Value::Object(map) => {
                if map.contains_key("properties") && !map.contains_key("additionalProperties") && !is_part {
                    map.insert("unevaluatedProperties".to_owned(), json!(false));
                }
                if map.contains_key("allOf") && !is_part {
                    map.insert("unevaluatedProperties".to_owned(), json!(false));
                }
                for (key, inner) in map.iter_mut() {
                    if key != "example" && key != "examples" {
                        close(inner, key == "allOf");
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| close(item, is_part)),
            _plain => {}
        }
    }
    let mut document = serde_json::to_value(document()).unwrap();
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    for (name, schema) in schemas.iter_mut() {
        // What others take in whole stays open; they are closed themselves.
        let is_taken_in = ["DecisionKind", "TaskKind", "OutcomeView"].contains(&name.as_str());
        if !is_taken_in {
            close(schema, false);
        }
    }
    document
}

fn caller(role: Option<Role>) -> Caller {
    match role {
        None => Caller::anonymous(),
        Some(role) => Caller {
            actor: Actor::User(format!("one-{role}")),
            role: Some(role),
            roles: Some(Vec::new()),
            local: false,
        },
    }
}

#[tokio::test]
async fn every_route_lets_in_the_roles_of_the_table_and_no_others() {
    let api = Api::new();
    let mut table = String::new();
    for operation in operations() {
        let needs = needed(&operation.method, &operation.path);
        let place = operation.filled(&[]);
        let mut may = Vec::new();
        for role in std::iter::once(None).chain(Role::ALL.map(Some)) {
            let response = api.send(caller(role), &operation.method, &place, &Value::Null).await;
            let status = response.status().as_u16();
            let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
            let code = match kind.as_deref() {
                Some("application/problem+json") => {
                    let bytes = response.into_body().collect().await.unwrap().to_bytes();
                    serde_json::from_slice::<Value>(&bytes).unwrap()["code"].as_str().unwrap().to_owned()
                }
                _well => String::new(),
            };
            let what = format!("{} {place} as {role:?}: {status} {code}", operation.method);
            assert!(!["EF0207", "EF0208", "EF0219"].contains(&code.as_str()), "{what}");
            let is_let_in = match role {
                None => needs == RequiredRole::Public,
                Some(role) => needs.has(role),
            };
            match (is_let_in, role) {
                (false, None) => assert_eq!((status, code.as_str()), (401, "EF0601"), "{what}"),
                (false, Some(_)) => assert_eq!((status, code.as_str()), (403, "EF0602"), "{what}"),
                (true, None) => may.push("anonymous".to_owned()),
                (true, Some(role)) => {
                    assert!(!["EF0601", "EF0602"].contains(&code.as_str()), "{what}");
                    may.push(role.to_string());
                }
            }
        }
        let said: Vec<&str> = operation.about["x-roles"]
            .as_array()
            .unwrap()
            .iter()
            .map(|role| role.as_str().unwrap())
            .collect();
        may.retain(|role| role != "anonymous" || needs == RequiredRole::Public);
        let of_roles: Vec<&str> =
            may.iter().map(String::as_str).filter(|role| *role != "anonymous").collect();
        assert_eq!(said, of_roles, "{} {}", operation.method, operation.path);
        writeln!(table, "{:6} {} — {}", operation.method.as_str(), operation.path, may.join(" ")).unwrap();
    }
    insta::assert_snapshot!("rights", table);
}

const STEPS: &str = "\
name: steps
description: Asks.
steps:
  - id: a
    function: everfold.echo
    with: { n: 1 }
    gates: [{ id: right, expression: output.n == 1 }]
  - id: ok
    approval: { title: Right?, on_changes: { rework: a } }
  - id: b
    function: everfold.noop
";

impl Api {
    async fn until(&self, run: &str, status: &str) -> Value {
        loop {
            let view = self.well(Method::GET, "/api/v1/runs/{run}", &[("run", run)], "", Value::Null).await;
            if view["status"] == status {
                return view;
            }
            assert!(view["status"] != "failed", "{view:#}");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn real_answers_have_the_shapes_of_the_document() {
    let api = Api::new();
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let pipeline = json!({ "definition": STEPS });
    api.well(post.clone(), "/api/v1/pipelines/check", &[], "", pipeline.clone()).await;
    api.well(put.clone(), "/api/v1/pipelines/{name}", &[("name", "steps")], "", pipeline).await;
    let start = json!({ "pipeline": "steps", "title": "One", "labels": { "team": "core" } });
    let run = api.well(post.clone(), "/api/v1/runs", &[], "", start).await["id"].as_str().unwrap().to_owned();
    tokio::time::timeout(Duration::from_secs(20), api.until(&run, "waiting")).await.unwrap();
    let at = [("run", run.as_str()), ("step", "a"), ("name", "steps")];
    let new = json!({ "gate": "right", "policy": "evidence.value == false" });
    let tested = api.well(post.clone(), "/api/v1/audit/backtest", &[], "", new).await;
    assert_eq!(tested["changed"], 1, "{tested}");
    let replay = "/api/v1/runs/{run}/replay";
    let replayed = api.well(get.clone(), replay, &at, "?definition=current&version=1", Value::Null).await;
    assert_eq!(replayed["definition"]["pinned"], true, "{replayed}");
    let other = json!({ "definition": STEPS.replace("output.n == 1", "output.n == 2") });
    let replayed = api.well(post.clone(), replay, &at, "", other).await;
    assert_eq!(replayed["definition"]["otherwise"], 1, "{replayed}");
    api.well(post.clone(), "/api/v1/runs/{run}/notes", &at, "", json!({ "text": "well" })).await;
    api.well(put.clone(), "/api/v1/runs/{run}/breakpoints", &at, "", json!({ "steps": ["b"] })).await;
    api.well(post.clone(), "/api/v1/runs/{run}/pause", &at, "", json!({ "reason": "lunch" })).await;
    api.well(post.clone(), "/api/v1/runs/{run}/interrupt", &at, "", json!({ "reason": "astray" })).await;
    api.well(post.clone(), "/api/v1/runs/{run}/resume", &at, "", json!({})).await;
    api.well(post.clone(), "/api/v1/runs/{run}/signals/{name}", &at, "", json!({ "payload": 1 })).await;
    api.well(post.clone(), "/api/v1/signals/{name}", &at, "", json!({ "labels": { "team": "core" } })).await;
    api.well(post.clone(), "/api/v1/engine/pause", &[], "", json!({ "reason": "night" })).await;
    api.well(get.clone(), "/api/v1/engine", &[], "", Value::Null).await;
    api.well(post.clone(), "/api/v1/engine/resume", &[], "", json!({})).await;
    let schedule = json!({ "name": "nightly", "pipeline": "steps", "schedule": "0 3 * * *" });
    api.well(post.clone(), "/api/v1/schedules", &[], "", schedule).await;
    let nightly = [("name", "nightly")];
    let hours = json!({ "schedule": { "hours": "2..6", "zone": "Europe/Berlin" } });
    api.well(Method::PATCH, "/api/v1/schedules/{name}", &nightly, "", hours).await;
    api.well(post.clone(), "/api/v1/schedules/{name}/trigger", &nightly, "", json!({})).await;
    api.well(get.clone(), "/api/v1/schedules/{name}", &nightly, "", Value::Null).await;
    let limit = json!({ "per": "month", "cost": "5.00", "tokens": 1000, "wall": "40h" });
    api.well(put.clone(), "/api/v1/budgets/{scope}", &[("scope", "team")], "", limit).await;
    api.well(get.clone(), "/api/v1/budgets", &[], "?scope=team", Value::Null).await;
    api.well(Method::DELETE, "/api/v1/budgets/{scope}", &[("scope", "team")], "?per=month", Value::Null)
        .await;
    let delivery = json!({ "body": "{\"a\": 1}", "id": "72d3162e" });
    let forge = [("source", "forge"), ("id", "72d3162e")];
    api.well(post.clone(), "/api/v1/hooks/{source}/deliveries", &forge, "", delivery).await;
    api.well(post.clone(), "/api/v1/hooks/{source}/deliveries/{id}/redeliver", &forge, "", Value::Null).await;
    api.well(
        post.clone(),
        "/api/v1/tokens",
        &[],
        "",
        json!({ "name": "ci", "role": "viewer", "expires_in": "1d" }),
    )
    .await;
    api.well(post.clone(), "/api/v1/session/links", &[], "", json!({ "token": "ci" })).await;
    // Every route that reads, with a run that asks.
    reads(&api, &at).await;
    let inbox = api.well(get.clone(), "/api/v1/inbox", &[], "", Value::Null).await;
    let task = inbox["items"][0]["id"].as_str().unwrap().to_owned();
    let vote = json!({ "decision": "approve", "comment": "good" });
    api.well(post.clone(), "/api/v1/inbox/{task}", &[("task", &task)], "", vote).await;
    tokio::time::timeout(Duration::from_secs(20), api.until(&run, "paused")).await.unwrap();
    api.well(post.clone(), "/api/v1/runs/{run}/resume", &at, "", json!({})).await;
    tokio::time::timeout(Duration::from_secs(20), api.until(&run, "succeeded")).await.unwrap();
    reads(&api, &at).await;
    let fork = json!({ "version": 3, "until_step": "ok" });
    let forked = api.well(post.clone(), "/api/v1/runs/{run}/fork", &at, "", fork).await;
    let at = [("run", forked["id"].as_str().unwrap())];
    api.well(post.clone(), "/api/v1/runs/{run}/cancel", &at, "", json!({})).await;
    api.well(Method::DELETE, "/api/v1/schedules/{name}", &nightly, "?reason=over", Value::Null).await;
    api.well(Method::DELETE, "/api/v1/tokens/{name}", &[("name", "ci")], "", Value::Null).await;
}

#[tokio::test]
async fn an_answer_to_a_signal_says_who_took_it_as_the_document_does() {
    const WAITS: &str = "\
name: waits
key: only
labels: { team: core }
steps: [{ id: first, wait: { signal: go } }, { id: second, wait: { signal: go } }]
";
    let api = Api::new();
    let start = json!({ "definition": WAITS });
    let run = api.well(Method::POST, "/api/v1/runs", &[], "", start).await["id"].as_str().unwrap().to_owned();
    tokio::time::timeout(Duration::from_secs(20), api.until(&run, "waiting")).await.unwrap();
    let at = [("run", run.as_str()), ("name", "go")];
    let taken = api.well(Method::POST, "/api/v1/runs/{run}/signals/{name}", &at, "", json!({})).await;
    assert!(taken["taken"][0]["by"]["wait"].is_object(), "{taken}");
    tokio::time::timeout(Duration::from_secs(20), api.until(&run, "waiting")).await.unwrap();
    let taken = api.well(Method::POST, "/api/v1/signals/{name}", &at, "", json!({ "key": "only" })).await;
    assert_eq!(taken["items"][0]["taken"].as_array().unwrap().len(), 1, "{taken}");
}

/// Calls every route that reads.
async fn reads(api: &Api, given: &[(&str, &str)]) {
    for operation in operations() {
        let endless = operation.path == "/api/v1/stream" || operation.path.ends_with("/log");
        if operation.method == Method::GET && !endless {
            api.fits(Method::GET, &operation.path, given, "", Value::Null).await;
        }
    }
}

#[tokio::test]
async fn the_page_and_what_it_is_made_of_are_served_to_everybody() {
    let api = Api::new();
    for path in ["/api", "/api/reference.js", "/api/reference.css", "/api/icon.svg", "/api/openapi.json"] {
        let response = api.send(Caller::anonymous(), &Method::GET, path, &Value::Null).await;
        assert_eq!(response.status(), 200, "{path}");
    }
    let response = api.send(Caller::anonymous(), &Method::GET, "/api/openapi.json", &Value::Null).await;
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let page = api.send(Caller::anonymous(), &Method::GET, "/api", &Value::Null).await;
    let page = page.into_body().collect().await.unwrap().to_bytes();
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert!(!page.contains("http"), "it asks no other host");
}

#[tokio::test]
async fn s10_the_document_says_of_which_writes_a_repeat_is_recognised() {
    let api = Api::new();
    let (status, run) = api.fits(Method::POST, "/api/v1/runs", &[], "", json!({ "definition": STEPS })).await;
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap();
    let task = format!("{run}:ok:1");
    let whole = serde_json::to_value(document()).unwrap();
    let too_long = "k".repeat(257);
    for operation in operations().into_iter().filter(|it| it.method != Method::GET) {
        let what = format!("{} {}", operation.method, operation.path);
        let parameters = operation.about["parameters"].as_array();
        let says = parameters.into_iter().flatten().any(|it| it["name"] == "Idempotency-Key");
        let schema = &operation.about["requestBody"]["content"]["application/json"]["schema"];
        let body = match schema["$ref"].as_str() {
            Some(reference) => &whole.pointer(&reference[1..]).unwrap()["example"],
            None => &Value::Null,
        };
        let request = Request::builder()
            .method(&operation.method)
            .uri(operation.filled(&[("run", run), ("task", &task)]))
            .extension(Caller::local("ada"))
            .header("idempotency-key", &too_long);
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = api.held.routes().oneshot(request.body(body).unwrap()).await.unwrap();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        let is_looked_at = String::from_utf8_lossy(&answer).contains("Idempotency-Key is a text");
        assert_eq!(is_looked_at, says, "{what}: {answer:?}");
    }
}

/// Routes without parameters took any and answered as without: `/schedules?limit=5` gave all schedules.
#[tokio::test]
async fn no_route_leaves_a_parameter_of_the_query_unread() {
    let api = Api::new();
    let (status, run) = api.fits(Method::POST, "/api/v1/runs", &[], "", json!({ "definition": STEPS })).await;
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap();
    let task = format!("{run}:ok:1");
    for operation in operations().into_iter().filter(|it| it.path.starts_with("/api/v1/")) {
        // The query of a delivery is its sender's.
        if operation.path == "/api/v1/hooks/{source}" {
            continue;
        }
        let place = format!("{}?liimt=abc", operation.filled(&[("run", run), ("task", &task)]));
        let response = api.send(Caller::local("ada"), &operation.method, &place, &json!({})).await;
        let status = response.status();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        let names_it = String::from_utf8_lossy(&answer).contains("`liimt`");
        assert!(status == 422 && names_it, "{} {place}: {status} {answer:?}", operation.method);
    }
}

/// `spend`, `orch/costs` and the decisions of a run did not say of what position they were.
#[tokio::test]
async fn every_read_of_a_model_tells_the_position_that_it_knows() {
    let api = Api::new();
    let (status, run) = api.fits(Method::POST, "/api/v1/runs", &[], "", json!({ "definition": STEPS })).await;
    assert_eq!(status, 201, "{run}");
    let run = run["id"].as_str().unwrap();
    let mut looked_at = 0;
    for operation in operations().into_iter().filter(|it| it.method == Method::GET) {
        let mut parameters = operation.about["parameters"].as_array().into_iter().flatten();
        let is_model = parameters.any(|it| it["name"] == "min_position");
        if !is_model && operation.path != "/api/v1/runs/{run}/audit" {
            continue;
        }
        let place = operation.filled(&[("run", run), ("name", "steps")]);
        let response = api.send(Caller::local("ada"), &Method::GET, &place, &json!({})).await;
        let has_position = response.headers().contains_key("everfold-position");
        let is_refused = response.status().is_client_error();
        assert!(has_position || is_refused, "{place}: {:?}", response.headers());
        looked_at += usize::from(has_position);
    }
    assert!(looked_at >= 10, "{looked_at}");
}

#[tokio::test]
async fn what_goes_together_in_a_body_is_said_as_the_routes_take_it() {
    let api = Api::new();
    let (_, run) = api.fits(Method::POST, "/api/v1/runs", &[], "", json!({ "definition": STEPS })).await;
    let run = run["id"].as_str().unwrap().to_owned();
    tokio::time::timeout(Duration::from_secs(20), api.until(&run, "waiting")).await.unwrap();
    let task = format!("{run}:ok:1");
    let given = [("run", run.as_str()), ("task", &task), ("name", "merged")];
    let (inbox, fork) = ("/api/v1/inbox/{task}", "/api/v1/runs/{run}/fork");
    let (restart, budget) = ("/api/v1/runs/{run}/restart", "/api/v1/runs/{run}/budget");
    let (runs, signals) = ("/api/v1/runs", "/api/v1/signals/{name}");
    let whole = serde_json::to_value(document()).unwrap();
    for (path, body, fits) in [
        (runs, json!({}), false),
        (runs, json!({ "pipeline": "delivery", "definition": STEPS }), false),
        (runs, json!({ "definition": 7 }), false),
        (runs, json!({ "pipeline": null, "definition": STEPS }), true),
        (runs, json!({ "pipeline": "none" }), true),
        (fork, json!({}), false),
        (fork, json!({ "version": 1, "at": "2026-11-20T10:00:00Z" }), false),
        (fork, json!({ "version": 1, "pipeline": "steps", "definition": STEPS }), false),
        (fork, json!({ "version": 1, "at": null }), true),
        (fork, json!({ "at": "2016-11-20T10:00:00Z" }), true),
        (restart, json!({ "from_step": "a", "pipeline": "steps", "definition": STEPS }), false),
        (restart, json!({ "from_step": "none", "pipeline": null, "definition": STEPS }), true),
        (budget, json!({}), false),
        (budget, json!({ "wall": "soon" }), false),
        (budget, json!({ "wall": "1h" }), true),
        (signals, json!({}), false),
        (signals, json!({ "labels": {} }), false),
        (signals, json!({ "key": "k", "labels": { "a": "b" } }), false),
        (signals, json!({ "key": "k", "labels": {} }), true),
        (signals, json!({ "labels": { "a": "b" } }), true),
        (inbox, json!({}), false),
        (inbox, json!({ "decision": "approve", "answers": {} }), false),
        (inbox, json!({ "decision": "approve", "save": true }), false),
        (inbox, json!({ "answers": {}, "comment": "so" }), false),
        (inbox, json!({ "answers": {}, "save": true, "comments": [] }), true),
        (inbox, json!({ "decision": "approve", "answers": null }), true),
    ] {
        let operation = operations().into_iter().find(|it| it.method == Method::POST && it.path == path);
        let operation = operation.unwrap();
        let mut schema = operation.about["requestBody"]["content"]["application/json"]["schema"].clone();
        schema["components"] = whole["components"].clone();
        let says = jsonschema::validator_for(&schema).unwrap().is_valid(&body);
        assert_eq!(says, fits, "{path} {body}");
        let place = operation.filled(&given);
        let response = api.send(Caller::local("ada"), &Method::POST, &place, &body).await;
        let status = response.status().as_u16();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        let is_wrong = String::from_utf8_lossy(&answer).contains("EF0211");
        assert!(if fits { !is_wrong } else { status >= 400 }, "{path} {body}: {status} {answer:?}");
    }
}

/// The `files` of a replay were an object whose default is null: programs that validate the document refused it.
#[test]
fn every_default_fits_its_schema() {
    fn look(value: &Value, at: &str, looked_at: &mut usize) {
        if let Some(default) =
            value.get("default").filter(|_| value.is_object() && !at.ends_with("/properties"))
        {
            let mut closed = value.clone();
            closed["components"] = document()["components"].clone();
            let validator = jsonschema::validator_for(&closed).unwrap();
            assert!(validator.is_valid(default), "{at}: {default} is not of its own schema");
            *looked_at += 1;
        }
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, inner)| look(inner, &format!("{at}/{key}"), looked_at));
            }
            Value::Array(items) => items.iter().for_each(|inner| look(inner, at, looked_at)),
            _plain => {}
        }
    }
    let mut looked_at = 0;
    look(&serde_json::to_value(document()).unwrap(), "", &mut looked_at);
    assert!(looked_at >= 20, "{looked_at}");
}

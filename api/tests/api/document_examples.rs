//! What programs make of the document: names of operations, examples that work, links that lead somewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use everfold_api::access::Caller;
use everfold_api::embed::{Call, Function, StepError};
use everfold_api::http::document;
use everfold_api::node::HoldOptions;
use everfold_api::serve::{self, NodeGuard};
use everfold_engine::data_folder::Layout;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// What the settings say that examples speak of.
const SETTINGS: &str = "\
[workers.functions.\"deploy.canary\"]
summary = \"Deploys to one machine in a hundred.\"
";

/// A run that examples are about: it asks, or stands blocked at its first step.
fn pipeline(name: &str, build: &str) -> String {
    format!(
        "\
name: {name}
budget: {{ cost: 5 USD }}
steps:
  - id: build
    {build}
  - id: review
    approval: {{ title: Right? }}
  - id: deploy
    function: everfold.noop
"
    )
}

const NOOP: &str = "function: everfold.noop";
const SLEEPS: &str = "function: everfold.sleep\n    with: { for: 1h }";
const FAILS: &str = "function: test.fails\n    on_fail: block";
const GATED: &str = "function: everfold.noop\n    gates: [{ id: tests, expression: 1 == 2, on_fail: block }]";

async fn fails(_call: Call, _with: Value) -> Result<Value, StepError> {
    Err(StepError::new("the registry is away"))
}

struct Api {
    held: NodeGuard,
    _folder: tempfile::TempDir,
}

/// An operation of the document.
struct Operation {
    id: String,
    method: String,
    path: String,
    about: Value,
}

fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, about) in item.as_object().unwrap() {
            let id = about["operationId"].as_str().unwrap().to_owned();
            all.push(Operation {
                id,
                method: method.to_uppercase(),
                path: path.clone(),
                about: about.clone(),
            });
        }
    }
    all
}

impl Operation {
    /// Its path with the examples of the document, or with what is given.
    fn filled(&self, given: &BTreeMap<String, String>) -> String {
        let mut path = self.path.clone();
        for parameter in self.about["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            let example = &parameter["example"];
            let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            let value = given.get(name).cloned().unwrap_or(example);
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        path
    }

    /// Every example of its body.
    fn bodies(&self) -> Vec<Value> {
        let content = &self.about["requestBody"]["content"]["application/json"];
        let named =
            content["examples"].as_object().into_iter().flatten().map(|(_, one)| one["value"].clone());
        let named: Vec<Value> = named.collect();
        if !named.is_empty() {
            return named;
        }
        let schema = match content["schema"]["$ref"].as_str() {
            Some(reference) => document().pointer(&reference[1..]).unwrap(),
            None => &content["schema"],
        };
        schema.get("example").cloned().into_iter().collect()
    }
}

impl Api {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("everfold.toml");
        std::fs::write(&config, SETTINGS).unwrap();
        let functions = vec![Function::new("test.fails", fails)];
        let options = HoldOptions { functions, config: Some(config), ..HoldOptions::default() };
        Self {
            held: serve::hold(Layout::new(folder.path().join("data")), options).await.unwrap(),
            _folder: folder,
        }
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (status, _, answer) = self.sent(method, path, body).await;
        (status, answer)
    }

    async fn sent(&self, method: &str, path: &str, body: &Value) -> (u16, HeaderMap, Value) {
        let request = Request::builder().method(method).uri(path).extension(Caller::local("ada"));
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = self.held.routes().oneshot(request.body(body).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn well(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, path, &body).await;
        assert!(status < 400, "{method} {path} {body}: {answer}");
        answer
    }

    /// A run that has come as far as a status, and is the newest.
    async fn run(&self, build: &str, status: &str) -> String {
        let run = self.well("POST", "/api/v1/runs", json!({ "definition": pipeline("about", build) })).await;
        let run = run["id"].as_str().unwrap().to_owned();
        let looked = async {
            loop {
                let view = self.well("GET", &format!("/api/v1/runs/{run}"), Value::Null).await;
                if view["status"] == status {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), looked).await.unwrap();
        run
    }

    /// Brings about what the examples of an operation speak of.
    async fn prepare(&self, operation: &str) {
        let saved = json!({ "definition": pipeline("hello", NOOP) });
        self.well("PUT", "/api/v1/pipelines/hello", saved).await;
        match operation {
            "unblockRun" | "retryRun" => drop(self.run(FAILS, "blocked").await),
            "recheckStep" | "backtestGate" => drop(self.run(GATED, "blocked").await),
            "replayRunBy" => {
                drop(self.well("POST", "/api/v1/runs", json!({ "pipeline": "hello" })).await);
            }
            "resumeRun" => {
                let run = self.run(SLEEPS, "running").await;
                self.well("POST", &format!("/api/v1/runs/{run}/interrupt"), json!({})).await;
            }
            "resumeEngine" => {
                drop(self.well("POST", "/api/v1/engine/pause", json!({ "pipeline": "hello" })).await)
            }
            "resumeSchedule" | "pauseSchedule" | "updateSchedule" => {
                let nightly = json!({ "name": "nightly", "pipeline": "hello", "schedule": "0 3 * * *" });
                self.well("POST", "/api/v1/schedules", nightly).await;
                if operation == "resumeSchedule" {
                    self.well("POST", "/api/v1/schedules/nightly/pause", json!({})).await;
                }
            }
            "createLoginLink" => {
                drop(self.well("POST", "/api/v1/tokens", json!({ "name": "ada", "role": "viewer" })).await);
            }
            _on_a_run_that_asks => drop(self.run(NOOP, "waiting").await),
        }
    }
}

/// What an example cannot bring about by itself: the answer that it gets, and why.
const REFUSED: [(&str, &str, &str); 5] = [
    ("abandonRun", "EF0370", "only a run that is set aside is given up"),
    ("openSession", "EF0601", "the text of a token stands in no document"),
    ("extendLease", "EF0620", "a lease is drawn anew for each attempt"),
    ("completeAttempt", "EF0620", "the same"),
    ("failAttempt", "EF0620", "the same"),
];

#[tokio::test]
async fn row_59_every_example_of_a_body_works() {
    let mut tried = 0;
    for operation in operations() {
        let has_body = !operation.about["requestBody"]["content"]["application/json"].is_null();
        let bodies = operation.bodies();
        if operation.id == "receiveDelivery" {
            continue; // Its body is its sender's.
        }
        assert_eq!(has_body, !bodies.is_empty(), "{} has no example of its body", operation.id);
        for body in bodies {
            if body.get("answers").is_some() {
                continue; // Of a question; the vote is tried.
            }
            let api = Api::new().await;
            api.prepare(&operation.id).await;
            let (status, headers, answer) =
                api.sent(&operation.method, &operation.filled(&BTreeMap::new()), &body).await;
            let what = format!("{} {body}: {status} {answer}", operation.id);
            match REFUSED.iter().find(|(id, ..)| *id == operation.id) {
                Some((_, code, _)) => assert_eq!(answer["code"], *code, "{what}"),
                None => assert!(status < 300, "{what}"),
            }
            let described = &operation.about["responses"][status.to_string()];
            assert!(!described.is_null(), "{what}");
            if status < 300 {
                let says = !described["headers"]["Everfold-Position"].is_null();
                assert_eq!(headers.contains_key("everfold-position"), says, "{what}");
            }
            api.held.release().await;
            tried += 1;
        }
    }
    assert!(tried >= 30, "{tried}");
}

/// `drive` and the rebuild of a read model had the header in the document, and not in their answers.
#[tokio::test]
async fn a_write_that_records_nothing_has_no_position() {
    let api = Api::new().await;
    let position = |operation: &Operation| {
        let answers = operation.about["responses"].as_object().unwrap();
        let mut well = answers.iter().filter(|(status, _)| status.starts_with('2'));
        well.any(|(_, answer)| !answer["headers"]["Everfold-Position"].is_null())
    };
    let all = operations();
    let without: Vec<&str> = all
        .iter()
        .filter(|it| !it.method.eq_ignore_ascii_case("get") && !position(it))
        .map(|it| &*it.id)
        .collect();
    let nothing_is_recorded = [
        "backtestGate",
        "checkPipeline",
        "rebuildProjection",
        "driveRun",
        "replayRunBy",
        "createLoginLink",
        "adoptStore",
        "extendLease",
        "pollWork",
    ];
    assert_eq!(without, nothing_is_recorded);
    for (path, status) in [("/api/v1/projections/runs/rebuild", 202), ("/api/v1/store/adopt", 200)] {
        let (answered, headers, answer) = api.sent("POST", path, &Value::Null).await;
        assert_eq!((answered, headers.get("everfold-position")), (status, None), "{path}: {answer}");
    }
}

#[test]
fn row_59_operations_keep_their_names() {
    let mut all = String::new();
    for operation in operations() {
        writeln!(all, "{:22} {:6} {}", operation.id, operation.method, operation.path).unwrap();
    }
    insta::assert_snapshot!("operations", all);
}

#[tokio::test]
async fn row_59_links_lead_from_what_was_made_to_what_reads_it() {
    let all = operations();
    let mut links = Vec::new();
    for operation in &all {
        for (status, response) in operation.about["responses"].as_object().unwrap() {
            for (name, link) in response["links"].as_object().into_iter().flatten() {
                links.push((operation.id.as_str(), status.as_str(), name.as_str(), link.clone()));
            }
        }
    }
    assert!(links.len() >= 20, "{}", links.len());
    let target = |link: &Value| all.iter().find(|it| link["operationId"] == it.id.as_str()).unwrap();
    for (from, _, name, link) in &links {
        let parameters = target(link).about["parameters"].clone();
        for (parameter, place) in link["parameters"].as_object().unwrap() {
            let known = parameters.as_array().unwrap().iter().any(|it| it["name"] == parameter.as_str());
            assert!(known, "{from}.{name}: {parameter}");
            assert!(place.as_str().unwrap().starts_with("$response.body#/"), "{from}.{name}: {place}");
        }
    }
    // Those of things that examples make are gone along.
    let api = Api::new().await;
    api.prepare("startRun").await;
    let makes = [
        ("startRun", json!({ "pipeline": "hello" })),
        ("forkRun", json!({ "version": 3 })),
        ("savePipeline", json!({ "definition": pipeline("hello", "function: everfold.echo") })),
        ("addSchedule", json!({ "name": "nightly", "pipeline": "hello", "schedule": "0 3 * * *" })),
        ("deliver", json!({ "body": "{}" })),
        ("listRuns", Value::Null),
        ("listTasks", Value::Null),
        ("createToken", json!({ "name": "ci", "role": "viewer" })),
    ];
    let mut gone = 0;
    for (id, body) in makes {
        let operation = all.iter().find(|it| it.id == id).unwrap();
        let (status, answer) = api.send(&operation.method, &operation.filled(&BTreeMap::new()), &body).await;
        assert!(status < 300, "{id}: {answer}");
        for (_, _, name, link) in links.iter().filter(|(of, at, ..)| *of == id && *at == status.to_string()) {
            let to = target(link);
            let parameters = link["parameters"].as_object().unwrap().iter().map(|(parameter, place)| {
                let value = answer.pointer(place.as_str().unwrap().strip_prefix("$response.body#").unwrap());
                let value = value.unwrap_or_else(|| panic!("{id}.{name}: {place} is not in {answer}"));
                (parameter.clone(), value.as_str().unwrap().to_owned())
            });
            let place = to.filled(&parameters.collect());
            if to.method != "GET" {
                continue; // It would take away what the next link leads to.
            }
            let (status, answer) = api.send("GET", &place, &Value::Null).await;
            assert_eq!(status, 200, "{id}.{name}: {place}: {answer}");
            gone += 1;
        }
    }
    assert!(gone >= 9, "{gone}");
    api.held.release().await;
}

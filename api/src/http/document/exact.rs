//! What a derive cannot express: closed sets of words, patterns, the range of numbers, examples.
//!
//! Law: these tables say what the routes enforce, no more. A test sends values that the document allows and fails where
//! a route refuses one for its form.

use everfold_engine::event::RunEvent;
use everfold_projections::{DecisionType, RunGrouping, RunSort};
use serde_json::{Map, Value, json};

use super::links;
use crate::http::queries::INSIGHTS;
use crate::node::{NoticeStatus, OutcomeWord};

const CURSOR: &str = "^[0-9a-f]{16}-[0-9]{1,18}$";
/// A digest of the log: a position and 32 bytes.
const DIGEST: &str = "^[1-9][0-9]{0,17}:[0-9a-f]{64}$";
const KEY: &str = "^[!-~]([ -~]{0,254}[!-~])?$";
const SIGNAL: &str = r"^[^\s\x00-\x1f\x7f-\x9f]{1,32}$";
/// At most 160 bytes in UTF-8.
const DELIVERY: &str = r"^[^\x00-\x1f\x7f-\x9f]{1,40}$";
const SOURCE: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";
const ANY_SOURCE: &str = "^([a-z0-9][a-z0-9_-]{0,63}|-)$";
const TOKEN: &str = "^[A-Za-z0-9._@-]{1,64}$";
/// At most ten years.
const SPAN: &str = "^([0-9]{1,11}ms|[0-9]{1,8}s|[0-9]{1,6}m|[0-9]{1,4}h|[0-9]{1,3}d|[12][0-9]{3}d|3[0-5][0-9]{2}d|36[0-4][0-9]d|3650d)$";
/// US dollars, with at most six decimal places, or a currency that has a rate.
const AMOUNT: &str = r"^(\$?[0-9]{1,12}(\.[0-9]{0,6})?( ?USD)?|[0-9]{1,12}(\.[0-9]{0,6})? [A-Z]{3})$";
/// Money in answers.
const DOLLARS: &str = r"^[0-9]+\.[0-9]{6}$";
const ACTOR: &str = r"^(engine|(user|token|hook|schedule|run|worker):[^\n]{1,200})$";
const HASH: &str = "^[0-9a-f]{64}$";
const LEASE: &str = "5e2f8a100190b3a27c1e7a449d6f3b1c";
const INSTANCE: &str = "build-7-4711-3f9a2c1b";
const STATUSES: [&str; 9] =
    ["queued", "running", "waiting", "paused", "blocked", "stopping", "succeeded", "failed", "cancelled"];

/// Writes the tables into the whole document.
pub(super) fn write(document: &mut Value) {
    for (_, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            of_operation(operation);
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        for (_, field, what) in fields().into_iter().filter(|(of, ..)| of == name) {
            match schema.get_mut("properties").and_then(|properties| properties.get_mut(field)) {
                Some(property) => add(property, what),
                None => debug_assert!(false, "{name} has no field {field}"),
            }
        }
        for (of, what) in wholes().into_iter().filter(|(of, _)| of == name) {
            debug_assert_eq!(of, name);
            add(schema, what);
        }
        for (field, pattern) in
            [("short_id", "^[0-9a-f]{8}$"), ("cost_usd", DOLLARS), ("reserved_usd", DOLLARS)]
        {
            if let Some(property) =
                schema.get_mut("properties").and_then(|properties| properties.get_mut(field))
            {
                add(property, json!({ "pattern": pattern }));
            }
        }
        numbers(schema);
    }
}

fn of_operation(operation: &mut Value) {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    let resumes = matches!(id.as_str(), "streamRunEvents" | "streamEvents" | "readLog");
    if resumes && let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
        parameters.push(json!({
            "name": "Last-Event-ID", "in": "header", "required": false,
            "description": "Where a stream goes on: the id of the last event that came.",
            "schema": { "type": "string" },
        }));
    }
    // `get_mut`, not an index: indexing a `Value` would insert the key.
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        let place = parameter["in"].as_str().unwrap_or_default().to_owned();
        if let Some(what) = of_parameter(&id, &place, &name) {
            // Replaces the schema that the derive made, and keeps its default.
            let former = parameter["schema"].get("default").cloned();
            parameter["schema"] = what;
            if let Some(former) = former {
                parameter["schema"]["default"] = former;
            }
        }
        let example = of_path(&id, &name).filter(|_| place == "path");
        if let Some(example) = example {
            parameter["example"] = example;
        }
        numbers(&mut parameter["schema"]);
    }
    let body = operation.pointer_mut("/requestBody/content/application~1json");
    if let (Some(body), Some(examples)) = (body, examples(&id)) {
        body["examples"] = examples;
    }
    links::write(operation);
}

/// The schema of a parameter.
fn of_parameter(id: &str, place: &str, name: &str) -> Option<Value> {
    let words = |words: &[&str]| Some(json!({ "type": "string", "enum": words }));
    let pattern = |pattern: &str| Some(json!({ "type": "string", "pattern": pattern }));
    let time = || json!({ "type": "string", "format": "date-time" });
    match (id, place, name) {
        (_, "query", "started_after")
        | ("listVerdicts" | "listAllDecisions" | "getPipelineStats" | "getInsights", _, "since")
        | ("listAllDecisions", _, "until") => Some(time()),
        (_, "query", "at") => Some(json!({ "anyOf": [
            { "type": "integer", "format": "uint64", "minimum": 0 },
            time(),
        ] })),
        ("getSpend", _, "since") => Some(
            json!({ "type": "string", "format": "date", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$" }),
        ),
        ("listRuns", _, "status") => pattern(&listed(&STATUSES)),
        ("listStagedTasks", _, "status") => {
            let open: Vec<&str> = STATUSES.iter().copied().chain(["open"]).collect();
            pattern(&listed(&open))
        }
        ("listRuns", _, "sort") => pattern(&orders_of_runs()),
        ("listRuns", _, "cursor") => pattern(r"^[0-9a-f]{16}-[0-9]{1,18}(-[0-9]{1,18}-[0-9]{1,18})?$"),
        ("getStats", _, "by") => pattern(&groupings_of_runs()),
        ("getStats", _, "bucket") => pattern("^[1-9][0-9]{0,2}[mhd]$"),
        ("getInsights", _, "only") => pattern(&listed(&INSIGHTS.each_ref().map(|insight| insight.name))),
        ("getBoard", _, "group_by") => words(&["status", "stage"]),
        ("getSpend", _, "by") => words(&["run", "step", "role", "model", "day", "pipeline"]),
        ("listAllDecisions", _, "kind") => pattern(&listed(&DecisionType::ALL.map(DecisionType::as_str))),
        ("listAllDecisions", _, "actor") => pattern(ACTOR),
        ("listVerdicts" | "listAllDecisions", _, "verdict") => words(&["pass", "fail", "pending", "skipped"]),
        ("streamEvents", _, "types") => {
            pattern(&listed(&RunEvent::KINDS.iter().map(|(_, name)| *name).collect::<Vec<_>>()))
        }
        ("listNotices", _, "cursor") => pattern(r"^[0-9]{1,18}-[!-~]{1,300}$"),
        // A log counts its lines.
        ("readLog", _, "Last-Event-ID") => pattern("^[0-9]{1,18}$"),
        (_, "query", "digest") => pattern(DIGEST),
        (_, "query", "cursor") | (_, _, "Last-Event-ID") => pattern(CURSOR),
        (_, "header", "Idempotency-Key") => pattern(KEY),
        ("deliver", "path", "source") => pattern(SOURCE),
        ("listSourceDeliveries" | "getDelivery" | "redeliver", "path", "source") => pattern(ANY_SOURCE),
        ("signalRun" | "signalRuns", "path", "name") => pattern(SIGNAL),
        ("limitSharedBudget" | "unlimitSharedBudget", "path", "scope") => {
            pattern(r"^[^\s\x00-\x1f\x7f-\x9f]{1,256}$")
        }
        ("readArtefact", "path", "hash") => pattern(HASH),
        ("resetBreaker", "path", "name") => pattern(r"^[^.\n]{1,64}\.[^\n]{1,64}$"),
        _other => None,
    }
}

/// A pattern for words of a list, with commas between several.
fn listed(words: &[&str]) -> String {
    let word = words.join("|");
    format!("^({word})(,({word}))*$")
}

/// An example for what stands in a path.
fn of_path(id: &str, name: &str) -> Option<Value> {
    Some(json!(match (id, name) {
        ("getPipeline" | "savePipeline" | "listPipelineVersions" | "getPipelineStats", "name") => "hello",
        ("signalRun" | "signalRuns", "name") => "merged",
        ("rebuildProjection", "name") => "runs",
        ("resetBreaker", "name") => "agent.claude",
        ("testSubscription", "name") => "team",
        ("revokeToken", "name") => "ci",
        ("decideTask", "task") => "@",
        _other => return None,
    }))
}

/// Examples of bodies beside the one of their type.
fn examples(id: &str) -> Option<Value> {
    let of = |summary: &str, value: Value| json!({ "example": { "summary": summary, "value": value } });
    Some(match id {
        "startRun" => json!({
            "saved": { "summary": "A saved pipeline", "value": {
                "pipeline": "hello", "title": "Hello, Ada", "labels": { "team": "core" },
            } },
            "given": { "summary": "A pipeline that comes along", "value": {
                "definition": "name: once\nsteps:\n  - { id: only, function: everfold.noop }\n",
            } },
        }),
        "decideTask" => json!({
            "vote": { "summary": "A vote on an approval", "value": { "decision": "approve", "comment": "well done" } },
            "answer": { "summary": "An answer to a question", "value": { "answers": { "text": "yes" } } },
        }),
        "forkRun" => of("From a version", json!({ "version": 3, "until_step": "review" })),
        "restartRun" => of("From a step on", json!({ "from_step": "build", "title": "Once more" })),
        "pauseEngine" | "resumeEngine" => {
            of("A pipeline", json!({ "pipeline": "hello", "reason": "release freeze" }))
        }
        "resetBreaker" => of("With why", json!({ "reason": "the provider is back" })),
        "recheckStep" => {
            of("On the same artefacts", json!({ "step": "build", "reason": "the check was repaired" }))
        }
        "limitSharedBudget" => of("A month", json!({ "per": "month", "cost": "500.00" })),
        "updateSchedule" => of("Other hours", json!({ "schedule": { "hours": "2..6" } })),
        "addSchedule" => {
            of("Every night", json!({ "name": "nightly", "pipeline": "hello", "schedule": "0 3 * * *" }))
        }
        "savePipeline" | "checkPipeline" => of(
            "A text",
            json!({
                "definition": "name: hello\nsteps:\n  - { id: greet, function: everfold.noop }\n",
            }),
        ),
        "openSession" => of(
            "A token",
            json!({ "token": "evf_0000000000000000000000000000000000000000000000000000000000000000" }),
        ),
        "pollWork" => of(
            "Work for one",
            json!({
                "kinds": ["deploy.canary"], "capacity": 1, "wait": 0.1, "instance": INSTANCE,
            }),
        ),
        "extendLease" => of(
            "It goes on",
            json!({
                "lease": LEASE, "instance": INSTANCE, "log": ["deploys 1.2"], "progress": "half of it",
            }),
        ),
        "completeAttempt" => of(
            "With an output",
            json!({
                "lease": LEASE, "instance": INSTANCE, "output": { "healthy": true },
            }),
        ),
        "reportAttempts" => of(
            "One that succeeded, one that failed",
            json!({
                "instance": INSTANCE,
                "reports": [
                    { "id": "0190b3a2-7c1e-7a44-9d6f-3b1c5e2f8a10:deploy:1:1", "lease": LEASE, "output": { "healthy": true } },
                    { "id": "0190b3a2-7c1e-7a44-9d6f-3b1c5e2f8a10:watch:1:1", "lease": LEASE, "failure": { "message": "unhealthy", "code": "HEALTH" } },
                ],
            }),
        ),
        "failAttempt" => of(
            "With what happened",
            json!({
                "lease": LEASE, "instance": INSTANCE, "failure": { "message": "unhealthy", "code": "HEALTH" },
            }),
        ),
        _other => return None,
    })
}

/// The orders of runs: by their start or end, or by a field of their rows.
fn orders_of_runs() -> String {
    let names: Vec<String> = RunSort::fields().iter().map(|name| name.replace('.', r"\.")).collect();
    format!(r"^-?(started|ended|labels\.[^\x00-\x1f]+|{})$", names.join("|"))
}

/// The fields that runs are grouped by, up to four of them.
fn groupings_of_runs() -> String {
    let names: Vec<String> = RunGrouping::fields().iter().map(|name| name.replace('.', r"\.")).collect();
    let name = format!(r"(labels\.[^,\x00-\x1f]+|{})", names.join("|"));
    format!("^{name}(,{name}){{0,3}}$")
}

/// Fields of schemas: the schema, the field, the keywords to add.
fn fields() -> Vec<(&'static str, &'static str, Value)> {
    let pattern = |pattern: &str| json!({ "pattern": pattern });
    let words = |words: &[&str]| json!({ "enum": words });
    let length = |max: usize| json!({ "maxLength": max });
    vec![
        ("CreateBody", "idempotency_key", pattern(KEY)),
        ("BacktestBody", "cursor", pattern(CURSOR)),
        ("BulkBody", "cursor", pattern(CURSOR)),
        ("RaiseBody", "wall", pattern(SPAN)),
        ("SharedBudgetBody", "wall", pattern(SPAN)),
        ("TokenBody", "expires_in", pattern(SPAN)),
        ("TokenBody", "name", pattern(TOKEN)),
        ("TokenBody", "approves", json!({ "maxItems": 64, "items": { "type": "string", "pattern": TOKEN } })),
        ("BeatBody", "progress", length(16 * 1024)),
        ("BeatBody", "log", json!({ "items": { "type": "string", "maxLength": 16 * 1024 } })),
        ("CompleteBody", "log", json!({ "items": { "type": "string", "maxLength": 16 * 1024 } })),
        ("FailBody", "log", json!({ "items": { "type": "string", "maxLength": 16 * 1024 } })),
        ("ReportBody", "log", json!({ "items": { "type": "string", "maxLength": 16 * 1024 } })),
        ("Told", "message", length(16 * 1024)),
        ("Told", "code", length(16 * 1024)),
        ("Told", "hint", length(16 * 1024)),
        ("Told", "detail", length(16 * 1024)),
        ("SignalBody", "delivery", length(64)),
        ("SignalAllBody", "delivery", length(64)),
        ("DeliverBody", "id", pattern(DELIVERY)),
        ("PipelineView", "origin", words(&["saved", "built_in", "file"])),
        ("PipelineView", "hash", pattern(HASH)),
        ("VersionView", "hash", pattern(HASH)),
        (
            "ReadyView",
            "state",
            words(&[
                "starting",
                "folding",
                "damaged",
                "full",
                "read_only",
                "not_ours",
                "ready",
                "ending",
                "broken",
            ]),
        ),
        ("HealthView", "status", words(&["ok"])),
        ("ScheduleView", "status", words(&["active", "paused", "removed"])),
        ("SubscriptionView", "state", words(&["waiting", "telling", "failing", "idle"])),
        ("NoticeView", "status", json!({ "enum": NoticeStatus::ALL })),
        ("OutcomeView", "outcome", json!({ "enum": OutcomeWord::ALL })),
        ("FileProblem", "severity", words(&["error", "warning"])),
        ("Problem", "code", pattern("^EF[0-9]{4}$")),
    ]
}

/// Whole schemas: the schema, the keywords to add.
fn wholes() -> Vec<(&'static str, Value)> {
    vec![
        ("RunId", json!({ "format": "uuid" })),
        ("Hash", json!({ "pattern": HASH })),
        (
            "Amount",
            json!({ "oneOf": [
            { "type": "string", "pattern": AMOUNT },
            { "type": "number", "minimum": 0, "maximum": 1_000_000_000_000_u64 },
        ] }),
        ),
    ]
}

fn add(schema: &mut Value, what: Value) {
    if let (Some(schema), Value::Object(what)) = (schema.as_object_mut(), what) {
        schema.extend(what);
    }
}

/// Writes format and range of every whole number below a schema: a derive calls unsigned ones `int32` or `int64`.
fn numbers(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            bound(map);
            for (key, inner) in map.iter_mut() {
                if !matches!(key.as_str(), "example" | "examples" | "default" | "enum" | "const") {
                    numbers(inner);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(numbers),
        _plain => {}
    }
}

fn bound(map: &mut Map<String, Value>) {
    let is_whole = match map.get("type") {
        Some(Value::String(kind)) => kind == "integer",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "integer"),
        _untyped => false,
    };
    if !is_whole {
        return;
    }
    let is_unsigned = map.get("minimum").and_then(Value::as_f64).is_some_and(|least| least >= 0.0);
    let (format, least, most) = match (map.get("format").and_then(Value::as_str), is_unsigned) {
        (Some("int32" | "uint32"), true) => ("uint32", json!(0), json!(u32::MAX)),
        (Some("int32"), false) => ("int32", json!(i32::MIN), json!(i32::MAX)),
        (Some("int64"), false) => ("int64", json!(i64::MIN), json!(i64::MAX)),
        (_, true) => ("uint64", json!(0), json!(u64::MAX)),
        (_, false) => return,
    };
    map.insert("format".to_owned(), json!(format));
    map.entry("minimum").or_insert(least);
    map.entry("maximum").or_insert(most);
}

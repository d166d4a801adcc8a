//! The parts of the document that operations have in common: rights, parameters of paths, headers of writes, errors.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::security::SecurityScheme;
use utoipa::openapi::{RefOr, Required, Response};

use super::errors;
use super::part::part;
use crate::access::{RequiredRole, needed};

/// The parameters of paths: the name, what it is, an example.
const NAMES: [(&str, &str, &str); 15] = [
    (
        "hash",
        "The BLAKE3 hash of the bytes, as the list or an event says it.",
        "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
    ),
    ("notice", "A lost notice, as the list calls it: `RUN:VERSION:NOTICE`.", "5e2f8a10:12:failures"),
    (
        "run",
        "An id, a short id, at least 4 digits of one, `@` for the newest, `@1` for the one before, or the work item of its label `item`.",
        "@",
    ),
    ("other", "The other run, named as the first.", "@"),
    ("step", "A step, or an item of it: `STEP`, `STEP.ITEM`.", "build"),
    ("round", "The round, from 1.", "1"),
    ("attempt", "The attempt, from 1.", "1"),
    ("name", "Its name; a `/` in it is written `%2F`.", "nightly"),
    ("scope", "The text that the budgets of its runs share; a `/` in it is written `%2F`.", "team"),
    ("task", "A task's id, or a run where one task of that kind is open.", "5e2f8a10:review:1"),
    ("item", "A work item, as `ET-018`: its number finds it, whatever stands in front; or a run.", "@"),
    ("source", "The source, as the settings name it; `-` for any where deliveries are read.", "forge"),
    ("id", "The id that the sender gave it, or at least 4 letters that only its id begins with.", "72d3162e"),
    (
        "attempt of a worker",
        "The attempt, as `poll` gave it: `RUN:STEP:ROUND:ATTEMPT`.",
        "0190b3a2-7c1e-7a44-9d6f-3b1c5e2f8a10:deploy:1:1",
    ),
    ("file", "A file of the page.", "reference.js"),
];

/// The writes whose requests may bring credentials.
const BRINGS_CREDENTIALS: [&str; 4] =
    ["/api/v1/runs", "/api/v1/runs/{run}/retry", "/api/v1/runs/{run}/restart", "/api/v1/runs/{run}/fork"];

/// How an attempt of a worker is written: the run, the step or an item of it, round and attempt.
const ATTEMPT: &str = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[a-z0-9][a-z0-9_-]{0,63}(\\.[0-9]{1,9})?:[0-9]{1,9}:[0-9]{1,9}$";

/// Completes an operation with what it has in common with others.
pub(super) fn complete(path: &str, method: &Method, operation: &mut Operation) {
    let needs = needed(method, path);
    let is_write = *method != Method::GET;
    say(operation, needs);
    parameters(path, operation);
    if is_write {
        if takes_key(path) {
            operation.parameters.get_or_insert_default().push(RefOr::T(part(json!({
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "Recognises a repeat, which gets the first answer; with another body it is refused.",
                "schema": { "type": "string", "minLength": 1, "maxLength": 256 },
            }))));
        }
        if needs != RequiredRole::Public {
            operation.parameters.get_or_insert_default().push(RefOr::T(part(json!({
                "name": "X-CSRF-Token", "in": "header", "required": false,
                "description": "With the cookie of a session: the text that `GET /api/v1/session` tells.",
                "schema": { "type": "string" },
            }))));
        }
        if leads_on(path) {
            positions(operation);
        }
        if takes_key(path) || is_recognised(path) {
            replays(operation);
        }
    }
    fail(path, needs, is_write, operation);
    if !is_write {
        tag(path, operation);
    }
}

/// Describes `ETag` and 304 of reads.
fn tag(path: &str, operation: &mut Operation) {
    let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") else { return };
    if !response.content.contains_key("application/json") || crate::http::layers::is_secret(path) {
        return;
    }
    response.headers.insert(
        "ETag".to_owned(),
        RefOr::T(part(json!({ "description": "Changes with the answer.", "schema": { "type": "string" } }))),
    );
    let unchanged = json!({ "description": "The caller has this answer already." });
    operation.responses.responses.insert("304".to_owned(), part(unchanged));
    operation.parameters.get_or_insert_default().push(RefOr::T(part(json!({
        "name": "If-None-Match", "in": "header", "required": false,
        "description": "The `ETag` of an answer that the caller has.", "schema": { "type": "string" },
    }))));
}

/// Who may call, as the document writes it.
pub(super) fn security_schemes() -> BTreeMap<String, RefOr<SecurityScheme>> {
    BTreeMap::from([
        (
            "bearer".to_owned(),
            RefOr::T(part(json!({ "type": "http", "scheme": "bearer", "bearerFormat": "evf_…",
                "description": "A token, as `everfold token create NAME --role ROLE` prints it." }))),
        ),
        (
            "session".to_owned(),
            RefOr::T(part(json!({ "type": "apiKey", "in": "cookie", "name": "everfold_session_EPOCH",
                "description": "The session of a browser; writes need `X-CSRF-Token` as well. `EPOCH` is that of the data folder, as `GET /healthz` says it; over TLS the name begins with `__Host-`." }))),
        ),
    ])
}

/// The first sentence as summary, without the route, and the role behind the rest.
fn say(operation: &mut Operation, needs: RequiredRole) {
    let whole = [operation.summary.take(), operation.description.take()];
    let whole = whole.into_iter().flatten().collect::<Vec<_>>().join("\n\n");
    let text = match whole.split_once("`: ") {
        Some((route, rest)) if route.starts_with('`') => rest,
        _no_route => &whole,
    };
    let text = text.replace("\n\n", "\u{1}").replace('\n', " ").replace('\u{1}', "\n\n");
    let (first, rest) = text.split_once(". ").or_else(|| text.split_once("\n\n")).unwrap_or((&text, ""));
    let mut letters = first.trim_end_matches('.').chars();
    let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    operation.summary = Some(format!("{capital}{}", letters.as_str()));
    let who = match needs {
        RequiredRole::Public => "Needs no token.".to_owned(),
        RequiredRole::AnyRole => "Needs a token of any role, or a session.".to_owned(),
        _role => format!("Needs the role: {}.", roles(needs).join(", ")),
    };
    operation.description = Some(format!("{}\n\n{who}", rest.trim()).trim().to_owned());
    let requirement: Vec<_> = match needs {
        RequiredRole::Public => Vec::new(),
        _known => vec![part(json!({ "bearer": [] })), part(json!({ "session": [] }))],
    };
    operation.security = Some(requirement);
    operation.extensions.get_or_insert_default().merge(part(json!({ "x-roles": roles(needs) })));
}

/// The roles that have it.
fn roles(needs: RequiredRole) -> Vec<String> {
    let all = everfold_engine::tokens::Role::ALL.into_iter();
    all.filter(|role| needs.has(*role)).map(|role| role.to_string()).collect()
}

fn parameters(path: &str, operation: &mut Operation) {
    let given = operation.parameters.take().unwrap_or_default();
    let mut all: Vec<RefOr<Parameter>> = Vec::new();
    for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        let known = if path.contains("/workers/") { "attempt of a worker" } else { name };
        let (_, about, example) =
            NAMES.iter().find(|(it, _, _)| *it == known).copied().unwrap_or((name, "", ""));
        let schema = match name {
            "round" | "attempt" => json!({ "type": "integer", "format": "int32", "minimum": 0 }),
            "id" if path.contains("/workers/") => json!({ "type": "string", "pattern": ATTEMPT }),
            _text => json!({ "type": "string", "minLength": 1 }),
        };
        let example = example.parse::<u32>().map_or_else(|_| json!(example), |number| json!(number));
        all.push(RefOr::T(part(json!({
            "name": name, "in": "path", "required": true, "description": about, "schema": schema, "example": example,
        }))));
    }
    let is_of_path = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => serde_json::to_value(&parameter.parameter_in).is_ok_and(|it| it == "path"),
        RefOr::Ref(_) => false,
    };
    all.extend(given.into_iter().filter(|parameter| !is_of_path(parameter)).map(of_query));
    operation.parameters = (!all.is_empty()).then_some(all);
}

/// Describes and bounds a query parameter that several lists and reads share, in one place for all of them.
fn of_query(parameter: RefOr<Parameter>) -> RefOr<Parameter> {
    let Ok(mut written) = serde_json::to_value(&parameter) else { return parameter };
    let name = written["name"].as_str().unwrap_or_default().to_owned();
    let (about, bounds) = match name.as_str() {
        "limit" => ("At most so many.", json!({ "minimum": 1, "maximum": 1000, "default": 100 })),
        "cursor" => ("Where the list goes on: `next_cursor` of the part before.", json!({})),
        "min_position" => (
            "A position that the read has to know, as `Everfold-Position` told it; waits for it, then 503 with the lag.",
            json!({}),
        ),
        "from" | "version" => ("", json!({ "minimum": 0 })),
        "at" if written["schema"]["format"].is_null() => ("A time or a position.", json!({})),
        _own => ("", json!({})),
    };
    if written["description"].is_null() && !about.is_empty() {
        written["description"] = json!(about);
    }
    // An optional parameter is left out; a query cannot write null.
    if let Some(kinds) = written["schema"]["type"].as_array_mut() {
        kinds.retain(|kind| kind != "null");
        if let [one] = kinds.as_slice() {
            written["schema"]["type"] = one.clone();
        }
    }
    if let Some(schema) = written["schema"].as_object_mut() {
        if schema.get("type").is_some_and(|kind| kind == "integer") {
            // A derive writes `int64`; positions are unsigned.
            schema.remove("format");
        }
        // A route's own bound goes before the common one.
        if let (false, Value::Object(bounds)) = (schema.contains_key("maximum"), bounds) {
            schema.extend(bounds);
        }
    }
    RefOr::T(part(written))
}

/// Marks a body as optional where every field of it is optional.
pub(super) fn may_be_empty(operation: &mut Operation, schemas: &Value) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    let Ok(written) = serde_json::to_value(&*body) else { return };
    let of_json = &written["content"]["application/json"]["schema"];
    let schema = match of_json["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => &schemas[name],
        None => of_json,
    };
    let is_needed = |schema: &Value| schema["required"].as_array().is_some_and(|names| !names.is_empty());
    let is_chosen = ["oneOf", "anyOf", "allOf"].iter().any(|word| !schema[word].is_null());
    if schema["type"] == "object" && !is_needed(schema) && !is_chosen {
        body.required = Some(Required::False);
    }
}

/// Whether a write takes `Idempotency-Key`. The other writes are harmless when they come twice, or are recognised by
/// what they hold: a delivery by its id, a worker's report by its lease.
fn takes_key(path: &str) -> bool {
    let rest = path.strip_prefix("/api/v1/").unwrap_or(path);
    !(rest.starts_with("session")
        || rest.starts_with("engine/breakers/")
        || rest.starts_with("store/")
        || rest.starts_with("projections/")
        || rest.starts_with("workers/")
        || rest.starts_with("subscriptions/")
        || rest.ends_with("/check")
        || rest.ends_with("/backtest")
        || rest.ends_with("/replay")
        || rest == "query"
        || rest.ends_with("/drive")
        || matches!(rest, "hooks/{source}" | "hooks/{source}/deliveries"))
}

/// Whether a write is recognised by what it holds, and a repeat gets the first answer.
fn is_recognised(path: &str) -> bool {
    let rest = path.strip_prefix("/api/v1/").unwrap_or(path);
    matches!(rest, "hooks/{source}" | "hooks/{source}/deliveries")
        || (rest.starts_with("workers/") && (rest.ends_with("/complete") || rest.ends_with("/fail")))
}

/// Whether the answer to a write names a place in the log. The others record nothing by themselves; a query names the place
/// that it knows.
fn leads_on(path: &str) -> bool {
    let rest = path.strip_prefix("/api/v1/").unwrap_or(path);
    let last = rest.rsplit('/').next().unwrap_or(rest);
    !matches!(
        last,
        "adopt" | "backtest" | "check" | "drive" | "heartbeat" | "links" | "poll" | "rebuild" | "replay"
    )
}

/// Describes the header `Idempotency-Replayed` of the answers to a write.
fn replays(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(Response { headers, .. }) = response else { continue };
        headers.insert(
            "Idempotency-Replayed".to_owned(),
            RefOr::T(part(json!({
                "description": "`true` where the write was done before and this is its first answer; absent otherwise.",
                "schema": { "type": "string", "enum": ["true"] },
            }))),
        );
    }
}

/// Describes the headers `Everfold-Position` and `Location` of the answers to a write.
fn positions(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(Response { headers, .. }) = response else { continue };
        headers.insert(
            "Everfold-Position".to_owned(),
            RefOr::T(part(json!({
                "description": "The place in the log that the write led to.",
                "schema": { "type": "integer", "format": "int64" },
            }))),
        );
        if status == "201" {
            headers.insert(
                "Location".to_owned(),
                RefOr::T(part(json!({
                    "description": "Where the new run is, where one was started.", "schema": { "type": "string" },
                }))),
            );
        }
    }
}

fn fail(path: &str, needs: RequiredRole, is_write: bool, operation: &mut Operation) {
    let mut statuses: Vec<u16> = vec![429, 500, 503];
    if needs != RequiredRole::Public {
        statuses.extend([401, 403]);
    }
    if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
        statuses.extend([403, 421]);
    }
    let has = |place: &str| {
        operation.parameters.iter().flatten().any(|parameter| match parameter {
            RefOr::T(parameter) => serde_json::to_value(&parameter.parameter_in).is_ok_and(|it| it == place),
            RefOr::Ref(_) => false,
        })
    };
    let is_of_api = path.starts_with("/api/v1/");
    if is_of_api {
        statuses.extend([400, 408, 409, 422, 431, 507]);
    }
    if is_write && BRINGS_CREDENTIALS.contains(&path) {
        statuses.push(428);
    }
    if has("path") {
        statuses.extend([400, 404, 422]);
    }
    if has("query") {
        statuses.extend([400, 404, 422]);
    }
    if is_write {
        statuses.extend([401, 403, 404, 413]);
    }
    if operation.request_body.is_some() {
        statuses.push(415);
    }
    for status in statuses {
        let known = operation.responses.responses.contains_key(&status.to_string());
        let reference: Option<Value> = errors::reference(status).filter(|_| !known);
        if let Some(reference) = reference {
            operation.responses.responses.insert(status.to_string(), part(reference));
        }
    }
}

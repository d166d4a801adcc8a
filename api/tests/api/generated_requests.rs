//! What the document allows no route refuses for its form: requests that are made of its schemas, by the thousand.
//!
//! A failure prints the request and the seed: `EVERFOLD_SEED=7 cargo test -p everfold-api --test api generated_requests`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Uri};
use everfold_api::access::Caller;
use everfold_api::http::document;
use everfold_api::serve;
use everfold_engine::data_folder::Layout;
use http_body_util::BodyExt as _;
use jsonschema::Validator;
use proptest::prelude::{RngExt as _, Strategy as _};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

/// Requests of each operation.
const REQUESTS: usize = 30;
/// How often a value is drawn anew that does not fit its schema as a whole.
const DRAWS: usize = 400;
/// A wrong form: unreadable, a wrong value, another type.
const FORM: [&str; 3] = ["EF0210", "EF0211", "EF0227"];

const STEPS: &str = "\
name: hello
steps:
  - { id: build, function: everfold.noop }
  - { id: review, approval: { title: Right? } }
";

/// Draws values that fit schemas.
struct Draw {
    runner: TestRunner,
    whole: &'static Value,
    /// What judges a schema, by its text.
    known: HashMap<String, Arc<Validator>>,
}

impl Draw {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self {
            runner: TestRunner::new_with_rng(Config::default(), rng),
            whole: document(),
            known: HashMap::new(),
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.runner.rng().random_range(0..end)
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = self.below(of.len());
        &of[at]
    }

    fn resolved<'a>(&self, schema: &'a Value) -> &'a Value
    where
        Self: 'a,
    {
        match schema["$ref"].as_str() {
            Some(reference) => self.whole_at(reference),
            None => schema,
        }
    }

    fn whole_at<'a>(&self, reference: &str) -> &'a Value {
        self.whole.pointer(&reference[1..]).unwrap()
    }

    /// A value that fits, or none where none was found in so many draws.
    fn fitting(&mut self, schema: &Value) -> Option<Value> {
        let validator = self.known.entry(schema.to_string()).or_insert_with(|| {
            let mut closed = schema.clone();
            closed["components"] = self.whole["components"].clone();
            Arc::new(jsonschema::options().should_validate_formats(true).build(&closed).unwrap())
        });
        let validator = Arc::clone(validator);
        (0..DRAWS).map(|_| self.value(schema, 0)).find(|value| validator.is_valid(value))
    }

    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        let schema = self.resolved(schema).clone();
        if let Some(words) = schema["enum"].as_array() {
            return self.one(words).clone();
        }
        for word in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[word].as_array().filter(|_| schema["type"] != "object") {
                let choice = self.one(choices).clone();
                return self.value(&choice, depth);
            }
        }
        let kind = match &schema["type"] {
            Value::String(kind) => kind.clone(),
            Value::Array(kinds) => self.one(kinds).as_str().unwrap().to_owned(),
            _any => return self.anything(depth),
        };
        match kind.as_str() {
            "null" => Value::Null,
            "boolean" => json!(self.below(2) == 0),
            "string" => json!(self.text(&schema)),
            "integer" => self.whole_number(&schema),
            "number" => self.number(&schema),
            "array" => {
                let (least, most) = (bound(&schema, "minItems", 0), bound(&schema, "maxItems", 4).min(4));
                let count = least + self.below(most.saturating_sub(least) + 1);
                (0..count).map(|_| self.value(&schema["items"], depth + 1)).collect()
            }
            "object" => self.object(&schema, depth),
            other => panic!("a value of the type {other}"),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if required.contains(&name.as_str()) || self.below(3) == 0 {
                object.insert(name.clone(), self.value(property, depth + 1));
            }
        }
        let further = &schema["additionalProperties"];
        if further.is_object() && depth < 4 {
            for _ in 0..self.below(3) {
                let name = self.plain_text();
                object.insert(name, self.value(further, depth + 1));
            }
        }
        Value::Object(object)
    }

    fn anything(&mut self, depth: usize) -> Value {
        let text = self.plain_text();
        match self.below(if depth < 3 { 7 } else { 5 }) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(i64::MIN),
            3 => json!(-1.5e300),
            4 => json!(text),
            5 => json!([self.anything(depth + 1)]),
            _ => json!({ text: self.anything(depth + 1) }),
        }
    }

    fn plain_text(&mut self) -> String {
        let long = "long ".repeat(60);
        let texts = [
            "",
            "a",
            "@",
            "hello",
            "ci",
            "build",
            "review",
            "nightly",
            "core",
            "1",
            "-",
            " ",
            "a b",
            "a/b",
            "..",
            ".",
            "%2F",
            "ü漢🙂",
            "\u{0}",
            "\n",
            "\"'\\",
            "null",
            "&x=1#y",
            "name: x",
            "a:b,c",
            long.as_str(),
        ];
        (*self.one(&texts)).to_owned()
    }

    fn text(&mut self, schema: &Value) -> String {
        if let Some(pattern) = schema["pattern"].as_str() {
            let inner = pattern.strip_prefix('^').and_then(|it| it.strip_suffix('$'));
            let inner = inner.map_or_else(|| format!(".*{pattern}.*"), str::to_owned);
            let strategy = proptest::string::string_regex(&inner).unwrap();
            return strategy.new_tree(&mut self.runner).unwrap().current();
        }
        match schema["format"].as_str() {
            Some("date-time") => (*self.one(&[
                "2026-11-20T10:00:00Z",
                "2026-11-20T10:00:00.123456789012345+05:30",
                "1969-12-31T23:59:59.999-12:00",
                "0000-01-01T00:00:00Z",
                "0001-01-01T00:00:00+23:59",
                "9999-12-31T23:59:59Z",
                "9999-12-31T23:59:59.99999999999-23:59",
                "2016-12-31T23:59:60Z",
                "2000-02-29t00:00:00z",
            ]))
            .to_owned(),
            Some(other) => panic!("a text of the format {other}"),
            None => {
                let most = bound(schema, "maxLength", usize::MAX);
                match self.below(8) {
                    0 if most < 100_000 => "ü".repeat(most),
                    _ => self.plain_text(),
                }
            }
        }
    }

    fn whole_number(&mut self, schema: &Value) -> Value {
        let (least, most) = (&schema["minimum"], &schema["maximum"]);
        let between = [json!(0), json!(1), json!(2), json!(-1), json!(5.0), json!(7)];
        match self.below(4) {
            0 => least.clone(),
            1 => most.clone(),
            _ => self.one(&between).clone(),
        }
    }

    fn number(&mut self, schema: &Value) -> Value {
        let between = [json!(0), json!(0.25), json!(1), json!(2.000_000_1), json!(1e-9)];
        match self.below(4) {
            0 => schema["minimum"].clone(),
            1 => schema["maximum"].clone(),
            _ => self.one(&between).clone(),
        }
    }
}

fn bound(schema: &Value, word: &str, otherwise: usize) -> usize {
    schema[word].as_u64().map_or(otherwise, |bound| usize::try_from(bound).unwrap())
}

/// What is escaped in a path or a query.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut all, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => all.push(char::from(byte)),
            _other => write!(all, "%{byte:02X}").unwrap(),
        }
        all
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // A query has no fractions of whole numbers.
        Value::Number(number) if number.is_f64() => format!("{:.0}", number.as_f64().unwrap()),
        other => other.to_string(),
    }
}

/// A request of an operation that the document allows.
fn request(
    draw: &mut Draw,
    method: &Method,
    path: &str,
    operation: &Value,
) -> Option<(Request<Body>, String)> {
    let (mut place, mut query) = (path.to_owned(), Vec::new());
    let mut request = Request::builder().method(method).extension(Caller::local("ada"));
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
        match parameter["in"].as_str().unwrap() {
            "path" => {
                // Mostly of something that is there.
                let known = parameter["example"].clone();
                let value = if draw.below(4) > 0 { known } else { draw.fitting(schema)? };
                let value = plain(&value);
                place = place.replace(&format!("{{{name}}}"), &escaped(&value));
                if value.is_empty() || value == "." || value == ".." {
                    return None; // No part of a path is written so.
                }
            }
            // Answers at once: most runs here wait for people.
            "query" if name == "wait" => query.push("wait=0s".to_owned()),
            "query" if parameter["required"] == true || draw.below(3) == 0 => {
                let value = draw.fitting(schema)?;
                query.push(format!("{name}={}", escaped(&plain(&value))));
            }
            "header" if ["Idempotency-Key", "Last-Event-ID"].contains(&name) && draw.below(4) == 0 => {
                let value = draw.fitting(schema)?;
                request = request.header(name, plain(&value));
            }
            _left_out => {}
        }
    }
    if !query.is_empty() {
        place = format!("{place}?{}", query.join("&"));
    }
    let body = &operation["requestBody"];
    let schema = &body["content"]["application/json"]["schema"];
    let text = match schema.is_null() {
        true => String::new(),
        false => {
            let mut value = draw.fitting(schema)?;
            if operation["operationId"] == "pollWork" {
                value["wait"] = json!(0);
            }
            request = request.header("content-type", "application/json");
            value.to_string()
        }
    };
    let uri: Uri = place.parse().unwrap_or_else(|error| panic!("{place}: {error}"));
    let said = format!("{method} {place} {text}");
    Some((request.uri(uri).body(Body::from(text)).unwrap(), said))
}

#[tokio::test]
async fn row_59_no_operation_refuses_the_form_of_what_the_document_allows() {
    let seed = std::env::var("EVERFOLD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(59);
    println!("seed {seed}");
    let mut draw = Draw::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let held = serve::imagine(Layout::new(folder.path().join("data"))).unwrap();
    let prepare = [
        ("PUT", "/api/v1/pipelines/hello", json!({ "definition": STEPS })),
        ("POST", "/api/v1/runs", json!({ "pipeline": "hello" })),
        ("POST", "/api/v1/hooks/forge/deliveries", json!({ "body": "{}", "id": "72d3162e" })),
        (
            "POST",
            "/api/v1/schedules",
            json!({ "name": "nightly", "pipeline": "hello", "schedule": "0 3 * * *" }),
        ),
        ("POST", "/api/v1/tokens", json!({ "name": "ci", "role": "viewer" })),
    ];
    for (method, path, body) in prepare {
        let request = Request::builder().method(method).uri(path).extension(Caller::local("ada"));
        let response =
            held.routes().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        assert!(response.status().is_success(), "{method} {path}: {}", response.status());
    }
    let (mut wrong, mut sent, mut well) = (Vec::new(), 0, 0);
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let mut of_operation = 0;
            for _ in 0..REQUESTS {
                let Some((request, said)) = request(&mut draw, &method, path, operation) else { continue };
                (sent, of_operation) = (sent + 1, of_operation + 1);
                let response =
                    tokio::time::timeout(Duration::from_secs(30), held.routes().oneshot(request)).await;
                let response = response.unwrap_or_else(|_| panic!("no answer to {said}")).unwrap();
                let status = response.status().as_u16();
                well += usize::from(status < 400);
                let kind = response.headers().get("content-type").map(|it| it.to_str().unwrap().to_owned());
                let answers = &operation["responses"][status.to_string()];
                let answers = match answers["$ref"].as_str() {
                    Some(reference) => document().pointer(&reference[1..]).unwrap(),
                    None => answers,
                };
                let code = match kind.as_deref() {
                    Some("application/problem+json") => {
                        let bytes = response.into_body().collect().await.unwrap().to_bytes();
                        serde_json::from_slice::<Value>(&bytes).unwrap()
                    }
                    _well => Value::Null,
                };
                let is_form = FORM.iter().any(|form| code["code"] == *form);
                let is_documented = !answers.is_null()
                    && kind.as_ref().is_none_or(|kind| !answers["content"][kind].is_null());
                if is_form || !is_documented || status == 500 {
                    let said: String = said.chars().take(600).collect();
                    wrong.push(format!(
                        "{said}\n    {status} {} {} {}",
                        kind.unwrap_or_default(),
                        code["code"],
                        code["detail"]
                    ));
                    break; // One of each operation is enough.
                }
            }
            assert!(of_operation > 0, "{method} {path}: nothing was found that its schemas allow");
        }
    }
    println!("{sent} requests, {well} of them answered well");
    assert!(wrong.is_empty(), "seed {seed}: {} operations\n{}", wrong.len(), wrong.join("\n"));
    assert!(well > sent / 5, "{well} of {sent}: too few reach anything");
}

//! Does what was asked for: the bodies of REST, and where the answer leads.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::{Map, Value, json};

use super::act::Act;
use super::breakpoints;
use super::confirmation::Confirmation;
use super::fork::{ForkEffects, ForkMoment};
use super::policies;
use super::restart;
use super::signal;
use super::verb::{Verb, done_sentence};
use crate::html;
use crate::problem::Problem;
use crate::start::schema_form::SchemaForm;

/// What was done.
pub(super) struct Done {
    /// A word of `done_sentence`.
    word: &'static str,
    /// The new run; none: it was done to the run itself.
    new_run: Option<String>,
}

/// What is sent to REST.
struct Wanted {
    method: Method,
    path: String,
    body: Map<String, Value>,
}

/// Does it.
///
/// # Errors
/// What REST refuses, and what cannot be read of what was typed.
pub(super) async fn send(act: &Act, confirmation: &Confirmation) -> Result<Done, Problem> {
    let wanted = wanted(act, confirmation).await?;
    let rest = &act.visit.rest;
    let credentials: Vec<(&str, &str)> = act
        .typed
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("credential:")?, value)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let body = Value::Object(wanted.body);
    let answer = if credentials.is_empty() {
        rest.write(wanted.method, &wanted.path, &body, act.typed.once()).await?
    } else {
        let mut request = rest.request(wanted.method, &wanted.path, Body::from(body.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(once) = act.typed.once().and_then(|once| once.parse().ok()) {
            headers.insert("idempotency-key", once);
        }
        for (name, value) in credentials {
            let name = HeaderName::try_from(format!("everfold-credential-{name}"));
            let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(value)) else {
                return Err(Problem::invalid("a credential is one line of visible letters"));
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let bytes = crate::rest::taken_in(rest.send(request).await).await?;
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    };
    Ok(done(act, &answer))
}

async fn wanted(act: &Act, confirmation: &Confirmation) -> Result<Wanted, Problem> {
    let mut body = Map::new();
    // The step that the page said, which is the typed one, if one is typed.
    let step =
        |name: &str| confirmation.step.iter().map(|step| (name.to_owned(), step.clone().into())).next();
    let mut method = Method::POST;
    let mut end = act.verb.word().to_owned();
    match act.verb {
        Verb::Cancel => take_all(act, &mut body, &["step", "reason"]),
        Verb::Abandon | Verb::Pause | Verb::Interrupt => take_all(act, &mut body, &["reason"]),
        // It is not paused: the owner of the data folder does not drive it.
        Verb::Resume if act.run.paused.is_empty() => {
            end = "drive".to_owned();
            body.insert("detach".to_owned(), true.into());
        }
        Verb::Resume => take_all(act, &mut body, &["reason", "prompt"]),
        Verb::Retry => {
            body.extend(step("step"));
            body.insert("detach".to_owned(), true.into());
        }
        Verb::Restart => {
            body.extend(step("from_step"));
            add_new_run(act, &mut body).await?;
        }
        Verb::Fork => {
            add_moment(act, &mut body).map_err(Problem::invalid)?;
            add_new_run(act, &mut body).await?;
        }
        Verb::Signal => end = signal_end(act, &mut body).map_err(Problem::invalid)?,
        Verb::Note => {
            take_all(act, &mut body, &["text"]);
            end = "notes".to_owned();
            if body.is_empty() {
                return Err(Problem::invalid("a note has a text"));
            }
        }
        Verb::Breakpoints => {
            method = Method::PUT;
            body.insert("steps".to_owned(), json!(breakpoints::chosen(act)));
        }
        Verb::Budget => {
            take_all(act, &mut body, &["budget", "add", "wall", "reason"]);
            add_tokens(act, &mut body).map_err(Problem::invalid)?;
        }
        Verb::Unblock => {
            take_all(act, &mut body, &["decision", "reason"]);
            body.extend(step("step"));
            add_output(act, &mut body).map_err(Problem::invalid)?;
            add_policies(act, &mut body);
        }
        Verb::Recheck => {
            take_all(act, &mut body, &["reason"]);
            body.extend(step("step"));
            add_policies(act, &mut body);
        }
    }
    Ok(Wanted { method, path: format!("/runs/{}/{end}", act.run.id), body })
}

/// Where a fork begins, and before which step it pauses.
fn add_moment(act: &Act, body: &mut Map<String, Value>) -> Result<(), String> {
    match ForkMoment::of(act)? {
        Some(ForkMoment::Version(version)) => body.insert("version".to_owned(), version.into()),
        Some(ForkMoment::Position(position)) => body.insert("at".to_owned(), position.into()),
        Some(ForkMoment::Time(time)) => body.insert("at".to_owned(), time.into()),
        None => return Err("say from which version, or at which time".to_owned()),
    };
    take(act, body, "until", "until_step");
    match ForkEffects::of(act) {
        ForkEffects::Held => {}
        ForkEffects::Replayed => drop(body.insert("replay_effects".to_owned(), true.into())),
        ForkEffects::Live => drop(body.insert("live".to_owned(), true.into())),
    }
    Ok(())
}

/// What a signal says, and the end of its path, which has its name.
fn signal_end(act: &Act, body: &mut Map<String, Value>) -> Result<String, String> {
    take_all(act, body, &["delivery"]);
    let name = act.typed.text("name").map(str::trim).ok_or("a signal has a name")?;
    let name: String = name.bytes().map(percent_encoded).collect();
    let payload = signal::payload(act.typed.text("payload").unwrap_or_default())?;
    body.insert("payload".to_owned(), payload);
    Ok(format!("signals/{name}"))
}

/// The output that a blocked step is given.
fn add_output(act: &Act, body: &mut Map<String, Value>) -> Result<(), String> {
    if let Some(output) = act.typed.text("output") {
        let output: Value = serde_json::from_str(output)
            .map_err(|error| format!("the output is no JSON: {error}; texts stand in quotes"))?;
        body.insert("output".to_owned(), output);
    }
    Ok(())
}

/// A text that is typed becomes a field of the body.
fn take(act: &Act, body: &mut Map<String, Value>, name: &str, as_name: &str) {
    if let Some(text) = act.typed.text(name) {
        body.insert(as_name.to_owned(), text.into());
    }
}

fn take_all(act: &Act, body: &mut Map<String, Value>, names: &[&str]) {
    names.iter().for_each(|name| take(act, body, name, name));
}

/// What a new run has: a title, another definition, changed fields of the input.
async fn add_new_run(act: &Act, body: &mut Map<String, Value>) -> Result<(), Problem> {
    take_all(act, body, &["title", "pipeline"]);
    body.insert("detach".to_owned(), true.into());
    let is_typed = act.typed.iter().any(|(name, _)| name == "input" || name.starts_with("input/"));
    if !is_typed {
        return Ok(());
    }
    let other = restart::other_definition(act).await?;
    let schema = other.as_ref().map_or(&act.run.definition.input, |definition| &definition.input);
    let (_, input) = SchemaForm::sent(schema, Some(&act.run.input), &act.typed);
    let input = input.ok_or_else(|| Problem::invalid("the input cannot be read: see its fields"))?;
    let changed: Map<String, Value> = SchemaForm::changed(&act.run.input, &input)
        .into_iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !input.is_object() && input != act.run.input {
        body.insert("input".to_owned(), input);
    } else if !changed.is_empty() {
        body.insert("input".to_owned(), Value::Object(changed));
    }
    Ok(())
}

fn add_tokens(act: &Act, body: &mut Map<String, Value>) -> Result<(), String> {
    if let Some(tokens) = act.typed.text("tokens") {
        let digits: String =
            tokens.chars().filter(|c| !c.is_whitespace() && !matches!(c, ',' | '_')).collect();
        let number: u64 = digits.parse().map_err(|_| format!("“{tokens}” is no number of tokens"))?;
        body.insert("tokens".to_owned(), number.into());
    }
    if !["add", "tokens", "wall"].iter().any(|name| body.contains_key(*name)) {
        return Err("say by what the budget is raised: money, tokens or time".to_owned());
    }
    Ok(())
}

fn add_policies(act: &Act, body: &mut Map<String, Value>) {
    let policies: Map<String, Value> =
        policies::policies(act).into_iter().map(|(gate, policy)| (gate, policy.into())).collect();
    if !policies.is_empty() {
        body.insert("policy".to_owned(), policies.into());
    }
}

/// A byte of a part of a path.
fn percent_encoded(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    }
}

fn done(act: &Act, answer: &Value) -> Done {
    let is_held = answer.get("held") == Some(&Value::Bool(true));
    let id = answer.get("short_id").and_then(Value::as_str).map(str::to_owned);
    let new_run = id.filter(|id| *id != act.run.short_id);
    let word = match act.verb {
        Verb::Retry | Verb::Restart | Verb::Fork if is_held => "held",
        Verb::Retry if new_run.is_some() => "retry-new",
        Verb::Cancel if act.typed.text("step").is_some() => "cancel-step",
        Verb::Breakpoints if breakpoints::chosen(act).is_empty() => "breakpoints-none",
        Verb::Signal => {
            let is_taken =
                answer.get("taken").and_then(Value::as_array).is_some_and(|taken| !taken.is_empty());
            match answer.get("repeated") {
                Some(Value::Bool(true)) => "signal-repeated",
                _new if is_taken => "signal",
                _new => "signal-kept",
            }
        }
        verb => verb.word(),
    };
    Done { word, new_run }
}

impl Done {
    /// Redirects to the run; the answer to a script names what was done, and the new run.
    pub(super) fn answer(&self, act: &Act) -> Response {
        let run = self.new_run.as_deref().unwrap_or(&act.run.short_id);
        let path = format!("/runs/{run}?done={}", self.word);
        if !act.visit.is_partial {
            return Redirect::to(&path).into_response();
        }
        let sentence = done_sentence(self.word).unwrap_or_default();
        // Neither holds anything that HTML would take for more than text.
        let mut response = html::answer(format!("<p data-done=\"{}\">{sentence}</p>", self.word));
        *response.status_mut() = StatusCode::OK;
        if self.new_run.is_some()
            && let Ok(path) = HeaderValue::from_str(&path)
        {
            response.headers_mut().insert("hx-redirect", path);
        }
        response
    }
}

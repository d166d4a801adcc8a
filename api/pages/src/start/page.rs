//! `/start` and `/pipelines/{name}/start`: begins a run, with a form made of the schema of its input.

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::{Value, json};

use crate::form::Fields;
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::pipelines::{PipelineView, PipelinesTab, RestList};
use crate::problem::Problem;
use crate::start::faults::left_errors;
use crate::start::prefill::Prefill;
use crate::start::schema_form::SchemaForm;
use crate::start::typed::TypedStart;

/// The largest answer to a start that is read, in bytes: a run with its input.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Template)]
#[template(path = "start/choose.html")]
struct ChoosePipelinePage {
    frame: Frame,
    tab: PipelinesTab,
    pipelines: Vec<PipelineView>,
}

/// `GET /start`: which pipeline.
pub(super) async fn choose(visit: Visit) -> Result<Response, Problem> {
    let pipelines: RestList<PipelineView> = visit.rest.get("/pipelines").await?;
    let frame = visit.frame("Start a run", NavPlace::Pipelines);
    Ok(Html(ChoosePipelinePage { frame, tab: PipelinesTab::Pipelines, pipelines: pipelines.items })
        .into_response())
}

#[derive(Template)]
#[template(path = "start/start.html")]
struct StartPage {
    frame: Frame,
    tab: PipelinesTab,
    pipeline: PipelineView,
    /// What is started, as the address says it: a name, or one with a version.
    asked: String,
    input: SchemaForm,
    typed: TypedStart,
    /// The run whose input the form began with.
    like: Option<String>,
    /// Secrets that whoever starts a run brings with the request.
    credentials: Vec<String>,
    problem: Option<Problem>,
    /// What is wrong and belongs to no field of the input.
    faults: Vec<String>,
}

impl StartPage {
    /// The form goes to where it was opened, so that it begins with the same input.
    fn action(&self) -> String {
        self.frame.here.clone()
    }

    /// The same start as a command.
    fn command(&self) -> String {
        format!("everfold run {}", self.asked)
    }

    fn like_path(&self) -> String {
        format!("/runs/{}", self.like.as_deref().unwrap_or_default())
    }
}

/// `GET /pipelines/{name}/start`, with `input.FIELD`, `title`, `label.KEY` and `priority`, or `like=RUN`.
pub(super) async fn page(
    visit: Visit,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let pipeline = PipelineView::load(&visit, &name).await?;
    let prefill = Prefill::load(&visit, &pipeline, query.as_deref().unwrap_or_default()).await?;
    let input = SchemaForm::new(&pipeline.input, prefill.input.as_ref());
    Ok(page_of(&visit, (name, pipeline), prefill.like, input, prefill.typed).answer())
}

/// `POST /pipelines/{name}/start`: starts the run and goes to its page. The form's key makes a form that is sent twice
/// start one run.
pub(super) async fn sent(
    visit: Visit,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    fields: Fields,
) -> Result<Response, Problem> {
    let pipeline = PipelineView::load(&visit, &name).await?;
    let prefill = Prefill::load(&visit, &pipeline, query.as_deref().unwrap_or_default()).await?;
    let (form, input) = SchemaForm::sent(&pipeline.input, prefill.input.as_ref(), &fields);
    let typed = TypedStart::sent(&fields);
    let mut page = page_of(&visit, (name.clone(), pipeline), prefill.like, form, typed);
    let (labels, priority) = (page.typed.label_map(), page.typed.priority_number());
    for wrong in [labels.as_ref().err(), priority.as_ref().err()].into_iter().flatten() {
        page.faults.push(wrong.clone());
    }
    let (Some(input), Ok(labels), Ok(priority)) = (input, labels, priority) else {
        page.problem = Some(Problem::invalid("a field cannot be read; nothing was started"));
        return Ok(page.answer());
    };
    let mut body = json!({ "pipeline": name, "input": input, "labels": labels, "detach": true });
    if let Some(title) = fields.text("title") {
        body["title"] = json!(title);
    }
    if let Some(priority) = priority {
        body["priority"] = json!(priority);
    }
    match start(&visit, &body, &fields, &page.credentials).await {
        Ok(run) => Ok(Redirect::to(&format!("/runs/{run}")).into_response()),
        Err(problem) => Ok(page.refused(problem)),
    }
}

/// Sends a start with the credentials that were typed, and gives the short id of the run. No credential is part of the
/// body, nor kept in the page.
async fn start(
    visit: &Visit,
    body: &Value,
    fields: &Fields,
    credentials: &[String],
) -> Result<String, Problem> {
    let mut request = visit.rest.request(Method::POST, "/runs", Body::from(body.to_string()))?;
    let head = request.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(key) = fields.once().and_then(|once| once.parse().ok()) {
        head.insert("idempotency-key", key);
    }
    for name in credentials {
        let Some(value) = fields.text(&format!("credential/{name}")) else { continue };
        let header = format!("everfold-credential-{name}").parse::<HeaderName>();
        let value = HeaderValue::from_str(value);
        let (Ok(header), Ok(mut value)) = (header, value) else {
            return Err(Problem::invalid(format!("the credential {name} has signs that no header can hold")));
        };
        value.set_sensitive(true);
        head.insert(header, value);
    }
    let answer = visit.rest.send(request).await;
    let status = answer.status();
    let request_id = answer.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let bytes = to_bytes(answer.into_body(), ANSWER_BYTES_MAX)
        .await
        .map_err(|error| Problem::within(format!("the answer to the start broke off: {error}")))?;
    if !status.is_success() {
        return Err(Problem { request_id, ..Problem::read(status, &bytes) });
    }
    let run: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::within(format!("the answer to the start cannot be read: {error}")))?;
    let id = run.get("short_id").and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| Problem::within("the answer to the start names no run"))
}

fn page_of(
    visit: &Visit,
    (asked, pipeline): (String, PipelineView),
    like: Option<String>,
    input: SchemaForm,
    typed: TypedStart,
) -> StartPage {
    let mut frame = visit.frame(format!("Start {}", pipeline.name), NavPlace::Pipelines);
    frame.live = false;
    StartPage {
        frame,
        tab: PipelinesTab::Pipelines,
        credentials: credentials(&pipeline.document),
        pipeline,
        asked,
        input,
        typed,
        like,
        problem: None,
        faults: Vec::new(),
    }
}

/// The secrets of a document that come with the request.
fn credentials(document: &Value) -> Vec<String> {
    let secrets = document.get("secrets").and_then(Value::as_object);
    let mut names: Vec<String> = Vec::new();
    for source in secrets.into_iter().flatten().map(|(_, source)| source) {
        let name = source.get("credential").and_then(Value::as_str);
        names.extend(name.filter(|name| !names.iter().any(|known| known == name)).map(str::to_owned));
    }
    names
}

impl StartPage {
    /// The form with what was typed, and why no run was started.
    fn refused(mut self, mut problem: Problem) -> Response {
        self.input.take_errors(&mut problem);
        self.faults = left_errors(&problem);
        self.problem = Some(problem);
        self.answer()
    }

    fn answer(self) -> Response {
        let status = self.problem.as_ref().map(Problem::status);
        let mut response = Html(self).into_response();
        if let Some(status) = status {
            *response.status_mut() = status;
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_named_once_and_other_secrets_are_not_asked_for() {
        let document = json!({ "secrets": {
            "A": { "credential": "claude" }, "B": { "env": "FORGE_TOKEN" }, "C": { "credential": "claude" },
        } });
        assert_eq!(credentials(&document), ["claude"]);
    }
}

//! `/pipelines/new` and `/pipelines/{name}/edit`: the text of a definition, checked and saved as the newest version.

use askama::Template;
use axum::extract::Path;
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::form::Fields;
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::pipelines::view::PipelineView;
use crate::pipelines::{PipelinesTab, pipeline_path, segment};
use crate::problem::Problem;

/// What a new definition begins with.
const FIRST_TEXT: &str = "name: hello\ndescription: Greets\ninput:\n  type: object\n  required: [name]\n  \
    properties:\n    name: { type: string, description: Who is greeted }\nsteps:\n  - id: greet\n    \
    command: echo \"Hello, ${input.name}\"\n";

#[derive(Template)]
#[template(path = "pipelines/edit.html")]
struct EditPage {
    frame: Frame,
    tab: PipelinesTab,
    /// The pipeline that gets a new version; none: a new pipeline.
    name: Option<String>,
    /// The version that the text began as.
    base: Option<u32>,
    text: String,
    problem: Option<Problem>,
    faults: Vec<TextFault>,
    checked: Option<Checked>,
    /// A version that somebody saved since the text began.
    overtaken_by: Option<u32>,
}

impl EditPage {
    /// Where the form goes to.
    fn action(&self) -> String {
        match &self.name {
            Some(name) => pipeline_path(name, "/edit"),
            None => "/pipelines/new".to_owned(),
        }
    }

    /// Back to where the form was opened.
    fn back(&self) -> String {
        match &self.name {
            Some(name) => pipeline_path(name, ""),
            None => "/pipelines".to_owned(),
        }
    }

    /// What somebody else changed meanwhile.
    fn difference(&self) -> String {
        let (from, to) = (self.base.unwrap_or(1), self.overtaken_by.unwrap_or(1));
        format!("{}?from={from}&to={to}", self.back())
    }

    fn rows(&self) -> usize {
        self.text.lines().count().clamp(18, 40) + 1
    }
}

/// A fault of the text, with its place.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct TextFault {
    severity: String,
    code: String,
    message: String,
    hint: Option<String>,
    line: Option<u64>,
    column: Option<u64>,
    excerpt: String,
    mark: usize,
}

impl TextFault {
    /// The line of the text with a mark below the place.
    fn shown(&self) -> String {
        let pad: String =
            self.excerpt.chars().take(self.mark).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        format!("{}\n{pad}^", self.excerpt)
    }

    fn is_warning(&self) -> bool {
        self.severity == "warning"
    }
}

/// What a check that found no error says.
#[derive(Debug, Clone, Deserialize)]
struct Checked {
    pipeline: PipelineView,
    #[serde(default)]
    warnings: Vec<TextFault>,
    #[serde(default)]
    unread: u64,
}

/// `GET /pipelines/new`.
pub(super) async fn new_page(visit: Visit) -> Result<Response, Problem> {
    Ok(page_of(&visit, None, None, FIRST_TEXT.to_owned()).answer())
}

/// `GET /pipelines/{name}/edit`.
pub(super) async fn page(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    let pipeline = PipelineView::load(&visit, &name).await?;
    let newest = newest_version(&visit, &pipeline.name).await?;
    Ok(page_of(&visit, Some(pipeline.name.clone()), newest, pipeline.definition()).answer())
}

/// `POST /pipelines/new`.
pub(super) async fn new_sent(visit: Visit, fields: Fields) -> Result<Response, Problem> {
    let mut page = page_of(&visit, None, None, sent_text(&fields));
    page.check(&visit).await;
    let Some(checked) = page.checked.as_ref().filter(|_| wants_save(&fields)) else {
        return Ok(page.answer());
    };
    let name = checked.pipeline.name.clone();
    if PipelineView::load(&visit, &name).await.is_ok_and(|known| known.origin == "saved") {
        page.problem = Some(Problem {
            status: 409,
            title: "There is a pipeline of this name".to_owned(),
            detail: format!("“{name}” is saved already; nothing was changed"),
            hint: Some("give this one another name, or edit that one".to_owned()),
            code: "EF0301".to_owned(),
            ..Problem::default()
        });
        return Ok(page.answer());
    }
    page.save(&visit, &name, &fields).await
}

/// `POST /pipelines/{name}/edit`.
pub(super) async fn sent(
    visit: Visit,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    let base = fields.text("base").and_then(|base| base.parse().ok());
    let mut page = page_of(&visit, Some(name.clone()), base, sent_text(&fields));
    if !wants_save(&fields) {
        page.check(&visit).await;
        return Ok(page.answer());
    }
    let newest = newest_version(&visit, &name).await?;
    if newest != base && !fields.is_set("all_the_same") {
        page.overtaken_by = newest;
        return Ok(page.answer());
    }
    page.save(&visit, &name, &fields).await
}

fn page_of(visit: &Visit, name: Option<String>, base: Option<u32>, text: String) -> EditPage {
    let title = name.as_ref().map_or_else(|| "New pipeline".to_owned(), |name| format!("Edit {name}"));
    let mut frame = visit.frame(title, NavPlace::Pipelines);
    frame.live = false;
    EditPage {
        frame,
        tab: PipelinesTab::Pipelines,
        name,
        base,
        text,
        problem: None,
        faults: Vec::new(),
        checked: None,
        overtaken_by: None,
    }
}

fn wants_save(fields: &Fields) -> bool {
    fields.text("do") == Some("save")
}

/// Browsers send lines that end in CRLF; a definition has the ends that it had.
fn sent_text(fields: &Fields) -> String {
    fields.all("definition").next().unwrap_or_default().replace("\r\n", "\n")
}

/// The newest saved version; none: none is saved.
async fn newest_version(visit: &Visit, name: &str) -> Result<Option<u32>, Problem> {
    match visit.rest.get::<PipelineView>(&format!("/pipelines/{}", segment(name))).await {
        Ok(pipeline) => Ok(pipeline.version),
        Err(problem) if problem.status == 404 => Ok(None),
        Err(problem) => Err(problem),
    }
}

impl EditPage {
    async fn check(&mut self, visit: &Visit) {
        let body = json!({ "definition": self.text });
        match visit.rest.write(Method::POST, "/pipelines/check", &body, None).await {
            Ok(checked) => match Checked::deserialize(&checked) {
                Ok(checked) => self.checked = Some(checked),
                Err(error) => {
                    self.problem = Some(Problem::within(format!("the check cannot be read: {error}")))
                }
            },
            Err(problem) => self.refused(problem),
        }
    }

    async fn save(mut self, visit: &Visit, name: &str, fields: &Fields) -> Result<Response, Problem> {
        let path = format!("/pipelines/{}", segment(name));
        let body = json!({ "definition": self.text });
        match visit.rest.write(Method::PUT, &path, &body, fields.once()).await {
            Ok(saved) => match self.base.filter(|base| saved["version"] == *base) {
                Some(version) => {
                    self.problem = Some(unchanged(name, version));
                    Ok(self.answer())
                }
                None => Ok(Redirect::to(&pipeline_path(name, "")).into_response()),
            },
            Err(problem) => {
                self.checked = None;
                self.refused(problem);
                Ok(self.answer())
            }
        }
    }

    /// Shows a problem, its single faults each at its place.
    fn refused(&mut self, problem: Problem) {
        let faults =
            problem.errors.iter().map(|error: &Value| TextFault::deserialize(error).unwrap_or_default());
        self.faults = faults.filter(|fault| !fault.message.is_empty()).collect();
        self.problem = Some(problem);
    }

    /// The page; its status is that of what was refused.
    fn answer(self) -> Response {
        let status = self.problem.as_ref().map(Problem::status);
        let is_overtaken = self.overtaken_by.is_some();
        let mut response = Html(self).into_response();
        if let Some(status) = status {
            *response.status_mut() = status;
        } else if is_overtaken {
            *response.status_mut() = axum::http::StatusCode::CONFLICT;
        }
        response
    }
}

/// Why nothing was saved: a definition has no comments.
fn unchanged(name: &str, version: u32) -> Problem {
    Problem {
        status: 409,
        title: "Nothing was saved".to_owned(),
        detail: format!("the text says the same as {name}@{version}"),
        hint: Some("comments and spaces are not kept here: keep the text in a file of your own".to_owned()),
        code: "EF0301".to_owned(),
        ..Problem::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_below_its_place_also_behind_tabs() {
        let fault = TextFault { excerpt: "\tcomand: x".to_owned(), mark: 1, ..TextFault::default() };
        assert_eq!(fault.shown(), "\tcomand: x\n\t^");
    }

    #[test]
    fn a_sent_text_has_the_ends_of_lines_that_it_had() {
        let fields = Fields::read(b"definition=name%3A+a%0D%0Asteps%3A+%5B%5D%0D%0A&do=save");
        assert_eq!(sent_text(&fields), "name: a\nsteps: []\n");
        assert!(wants_save(&fields));
    }
}

//! Problems as pages.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::json;

use crate::Pages;
use crate::frame::{self, Frame, NavPlace, Visit};
use crate::html::Html;
use crate::login::asked_to_log_in;
use crate::problem::Problem;

/// The most bytes of a refusal in bare words.
const WORDS_MAX: usize = 4096;

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    problem: Problem,
    /// The page of the run that is set aside.
    aside: Option<String>,
}

/// The page of the run that an address is about.
fn run_page(uri: &Uri) -> Option<String> {
    let run = uri.path().strip_prefix("/runs/")?.split('/').next().filter(|run| !run.is_empty())?;
    Some(format!("/runs/{run}"))
}

/// For callers whom nobody knows: nothing of the engine stands around it.
#[derive(Template)]
#[template(path = "problem_unframed.html")]
struct UnframedProblem {
    assets: &'static str,
    problem: Problem,
}

#[derive(Template)]
#[template(path = "problem_part.html")]
struct ProblemPart {
    problem: Problem,
}

/// Nothing is at this address.
pub(crate) async fn no_page(uri: Uri) -> Problem {
    let mut problem = Problem::not_found(format!("nothing is at {}", uri.path()));
    problem.hint = Some("the board is at /, runs are at /runs/ID".to_owned());
    problem
}

/// A page is there, and does not take the method.
pub(crate) async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem {
        status: 405,
        title: "The page does not take this method".to_owned(),
        detail: format!("{} takes no {method}", uri.path()),
        code: "EF0208".to_owned(),
        hint: Some("the header allow names those that it takes".to_owned()),
        ..Problem::default()
    }
}

/// Whether an answer is a refusal in bare words: of a path, a query or a form that cannot be read.
fn is_bare_refusal(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    response.status().is_client_error() && kind.is_none_or(|kind| kind.starts_with("text/plain"))
}

/// The problem that such words stand for.
async fn refusal(response: Response, uri: &Uri) -> Problem {
    let status = response.status();
    if status == StatusCode::NOT_FOUND {
        return no_page(uri.clone()).await;
    }
    let words = axum::body::to_bytes(response.into_body(), WORDS_MAX).await.unwrap_or_default();
    let reason = status.canonical_reason().unwrap_or("refused").to_owned();
    let detail = String::from_utf8_lossy(&words).into_owned();
    let detail =
        detail.strip_prefix("Invalid URL: ").map_or(detail.clone(), |what| format!("the path: {what}"));
    let detail = if detail.is_empty() { reason } else { detail };
    Problem { status: status.as_u16(), ..Problem::invalid(detail) }
}

/// A problem for a program, as REST tells it.
fn for_program(problem: &Problem) -> Response {
    let kind = format!("urn:everfold:error:{}", problem.code);
    let Problem { title, status, detail, hint, code, errors, .. } = problem;
    let mut body = json!({ "type": kind, "title": title, "status": status, "detail": detail, "code": code });
    if let Some(hint) = hint {
        body["hint"] = json!(hint);
    }
    if !errors.is_empty() {
        body["errors"] = json!(errors);
    }
    (problem.status(), [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

/// Renders the problem of an answer that has one: as a page, or as a part where a script asked. Whom nobody knows is
/// asked to log in.
pub(crate) async fn shown(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let response = next.run(Request::from_parts(head.clone(), body)).await;
    let problem = match response.extensions().get::<Problem>().cloned() {
        Some(problem) => problem,
        None if is_bare_refusal(&response) => refusal(response, &head.uri).await,
        None => return response,
    };
    if !frame::is_partial(&head.headers) && !frame::reads_html(&head.headers) {
        return for_program(&problem);
    }
    if problem.is_unknown_caller() {
        // Who logs out when the session is over wants nothing else.
        let is_logout = head.uri.path() == "/logout";
        return if is_logout { Redirect::to("/login").into_response() } else { asked_to_log_in(&head) };
    }
    let status = problem.status();
    let mut shown = if frame::is_partial(&head.headers) {
        Html(ProblemPart { problem }).into_response()
    } else {
        let known = Visit::of(&head, &pages).await.ok().filter(|visit| visit.who.role.is_some());
        let Some(visit) = known else {
            let mut shown = Html(UnframedProblem { assets: crate::assets::hash(), problem }).into_response();
            *shown.status_mut() = status;
            return shown;
        };
        let mut frame = visit.frame(problem.title.clone(), NavPlace::Elsewhere);
        frame.live = false;
        let aside = run_page(&head.uri).filter(|_| problem.is_set_aside());
        Html(ProblemPage { frame, problem, aside }).into_response()
    };
    *shown.status_mut() = status;
    shown
}

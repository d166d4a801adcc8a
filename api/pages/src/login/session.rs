//! Sessions are opened and ended here, by a token or by the code of a login link.

use axum::body::Body;
use axum::extract::{FromRequest as _, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::login_page::{shown, unkept};
use super::own_path::own_path;
use super::stranger::FETCH_SITE;
use crate::Pages;
use crate::form::Fields;
use crate::frame::{Visit, reads_html, with_query};
use crate::problem::Problem;
use crate::rest::problem_of;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LoginParams {
    /// The code of a link.
    code: Option<String>,
    /// Where to go then: a path of this server.
    to: Option<String>,
}

/// `GET /login`. A link opens nothing by itself: what looks at links before people do (a chat's preview, a scanner of
/// mails) would use it up.
pub(crate) async fn page(Query(params): Query<LoginParams>) -> Response {
    shown(params.code, params.to.as_deref(), None)
}

/// `POST /login`: opens the session.
pub(crate) async fn log_in(
    State(pages): State<Pages>,
    Query(params): Query<LoginParams>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    // Another site's page must not log its visitor in under another name; browsers send the origin of a form.
    let site = head.headers.get(FETCH_SITE).and_then(|site| site.to_str().ok());
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(Problem {
            status: 403,
            title: "This button stands on another page".to_owned(),
            detail: "a login begins on the page of this server".to_owned(),
            hint: Some("open the login link itself, and press its button".to_owned()),
            code: "EF0607".to_owned(),
            ..Problem::default()
        });
    }
    let fields = Fields::from_request(Request::new(body), &()).await?;
    let to = own_path(params.to.as_deref().or(fields.text("to"))).to_owned();
    let code = params.code.or(fields.text("code").map(str::to_owned));
    let token =
        code.clone().or(fields.text("token").map(|token| token.trim().to_owned())).unwrap_or_default();
    let rest = pages.rest.called_by(&head.extensions, &HeaderMap::new());
    let mut asked =
        rest.request(Method::POST, "/session", Body::from(json!({ "token": token }).to_string()))?;
    asked.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let answer = rest.send(asked).await;
    let Some(cookie) =
        answer.headers().get(header::SET_COOKIE).filter(|_| answer.status().is_success()).cloned()
    else {
        let problem = problem_of(answer).await;
        let problem =
            if code.is_some() && problem.is_unknown_caller() { link_over(problem) } else { problem };
        if !reads_html(&head.headers) {
            return Err(problem);
        }
        return Ok(shown(code, Some(&to), Some(problem)));
    };
    let mut response = Redirect::to(&to).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(unkept(response))
}

/// A link that was used is forgotten, so the routes know its code as little as any other wrong text.
fn link_over(problem: Problem) -> Problem {
    Problem {
        title: "the login link is over".to_owned(),
        detail: "the login link was used already, or its time is over".to_owned(),
        hint: Some("`everfold token link NAME` makes a new one; it works once, within 15 minutes".to_owned()),
        code: "EF0606".to_owned(),
        ..problem
    }
}

/// `POST /logout`: ends the session.
pub(crate) async fn log_out(State(pages): State<Pages>, request: Request) -> Result<Response, Problem> {
    let rest = pages.rest.called_by(request.extensions(), request.headers());
    let answer = rest.send(rest.request(Method::DELETE, "/session", Body::empty())?).await;
    let Some(cookie) = answer.headers().get(header::SET_COOKIE).cloned() else {
        return Err(problem_of(answer).await);
    };
    let mut response = Redirect::to("/login").into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(unkept(response))
}

/// `GET /enter`: goes on to a page with the session's cookie, where there is one, else to the login, with the code of a
/// link that the address may hold.
pub(crate) async fn enter(
    State(pages): State<Pages>,
    Query(params): Query<LoginParams>,
    request: Request,
) -> Response {
    let (head, _body) = request.into_parts();
    let to = own_path(params.to.as_deref());
    let is_known = Visit::of(&head, &pages).await.is_ok_and(|visit| visit.who.role.is_some());
    let login = params.code.iter().fold("/login".to_owned(), |path, code| with_query(&path, "code", code));
    let next = if is_known { to.to_owned() } else { with_query(&login, "to", to) };
    unkept(Redirect::to(&next).into_response())
}

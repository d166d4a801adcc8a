//! That a form comes from a page of this server.
//!
//! Law: a form of a caller with a session carries the session's secret in the field `csrf`, and the layer here refuses
//! every write without it, before a page's own code runs.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::Pages;
use crate::form::{CSRF_FIELD, Fields, taken_in};
use crate::frame::{Visit, reads_html};
use crate::login::asked_after_form;
use crate::problem::Problem;

/// The type of a form's body.
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

/// Refuses a write that does not come from a page of this server in this session. The path of logins is judged by its
/// own handler: nobody has a session there.
pub(crate) async fn from_own_page(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if is_read || request.uri().path() == "/login" {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    if !is_form(&head.headers) {
        return Problem {
            status: 415,
            title: "This is no form of a page".to_owned(),
            detail: format!("pages take forms of the type {FORM_TYPE}"),
            hint: Some("programs write to /api/v1".to_owned()),
            code: "EF0227".to_owned(),
            ..Problem::default()
        }
        .into_response();
    }
    let bytes = match taken_in(body).await {
        Ok(bytes) => bytes,
        Err(problem) => return problem.into_response(),
    };
    // Here the form is at hand: its words are shown on the page of the login.
    let is_shown = reads_html(&head.headers) && head.uri.path() != "/logout";
    let visit = match Visit::of(&head, &pages).await {
        Err(problem) if !problem.is_unknown_caller() || !is_shown => return problem.into_response(),
        Ok(visit) if visit.who.role.is_some() || !is_shown => visit,
        _unknown => return asked_after_form(&head, &Fields::read(&bytes)),
    };
    if let Some(expected) = &visit.who.csrf {
        let given = form_urlencoded::parse(&bytes).find(|(name, _)| name == CSRF_FIELD);
        let given = given.map(|(_, value)| value.into_owned()).unwrap_or_default();
        // Hashes compare in constant time; the time of comparing texts would reveal how much of them is equal.
        if blake3::hash(given.as_bytes()) != blake3::hash(expected.as_bytes()) {
            return Problem {
                status: 403,
                title: "This form is of another session".to_owned(),
                detail: "the page was loaded before you logged in again, or the form stands on another page"
                    .to_owned(),
                hint: Some("go back, load the page again, and send the form from there".to_owned()),
                code: "EF0607".to_owned(),
                ..Problem::default()
            }
            .into_response();
        }
    }
    next.run(Request::from_parts(head, Body::from(bytes))).await
}

/// Whether a body is one of a form, or there is none.
fn is_form(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM_TYPE))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use tower::ServiceExt as _;

    use super::*;
    use crate::rest::Rest;
    use crate::{ChangeSource, beside};

    /// REST that knows no caller any more.
    async fn over(_request: Request) -> Result<Response, std::convert::Infallible> {
        let body = r#"{"status":401,"title":"unknown","detail":"the session is over","code":"EF0601"}"#;
        Ok((StatusCode::UNAUTHORIZED, body).into_response())
    }

    #[tokio::test]
    async fn what_was_typed_outlives_the_session() {
        let changes = ChangeSource::new(|| Box::pin(futures::stream::pending()));
        let pages = beside(Rest::new(tower::service_fn(over)), changes);
        let sent = Request::post("/inbox/1a2b3c4d:sign:1")
            .header(header::ACCEPT, "text/html")
            .header(header::CONTENT_TYPE, FORM_TYPE)
            .body(Body::from("csrf=1&decision=changes&comment=precious+words"))
            .unwrap();
        let Ok(answer) = pages.oneshot(sent).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let bytes = taken_in(answer.into_body()).await.unwrap();
        let page = String::from_utf8_lossy(&bytes);
        assert!(page.contains("precious words") && page.contains("Your session is over"), "{page}");
        assert!(!page.contains("EF0219"), "a session that is over is no mistake of Everfold");
    }
}

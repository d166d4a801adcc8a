//! Where callers are sent whom nobody knows.

use askama::Template;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::login_page::{shown_with, unkept};
use super::own_path::path_of;
use crate::form::Fields;
use crate::frame::{is_partial, with_query};
use crate::html::Html;
use crate::problem::Problem;

/// By which address a page is entered from another site.
const ENTER: &str = "/enter";

/// The header by which a browser says how the page that leads here relates to this server.
pub(super) const FETCH_SITE: &str = "sec-fetch-site";

#[derive(Template)]
#[template(path = "enter.html")]
struct EnterPage {
    next: String,
}

/// Where an unknown caller is sent. A link on another site (a chat, a mail) arrives without the session's cookie, which
/// is strict: the browser is asked to come once more from a page of this server, and only then to log in.
pub(crate) fn asked_to_log_in(head: &Parts) -> Response {
    asked_with(head, None)
}

/// The same for a form, whose words are shown, so that they are not lost.
pub(crate) fn asked_after_form(head: &Parts, form: &Fields) -> Response {
    asked_with(head, Some(form))
}

fn asked_with(head: &Parts, form: Option<&Fields>) -> Response {
    let here = head.uri.path_and_query().map_or("/", |here| here.as_str());
    if is_partial(&head.headers) {
        // A script keeps the page that it has, with what was typed there, and says that the session is over.
        let mut response = StatusCode::UNAUTHORIZED.into_response();
        response.headers_mut().insert(HeaderName::from_static("hx-reswap"), HeaderValue::from_static("none"));
        response
            .headers_mut()
            .insert(HeaderName::from_static("hx-trigger"), HeaderValue::from_static("everfold:over"));
        return unkept(response);
    }
    if !is_read(&head.method) {
        let from = head.headers.get(header::REFERER).and_then(|from| from.to_str().ok());
        let problem = Problem {
            status: 401,
            title: "Your session is over".to_owned(),
            detail: "nothing of this form was done".to_owned(),
            hint: Some("log in, and send the form again".to_owned()),
            code: "EF0601".to_owned(),
            ..Problem::default()
        };
        let words = form.map(words_of).unwrap_or_default();
        return shown_with(None, from.map(path_of), Some(problem), words);
    }
    if head.headers.get(FETCH_SITE).is_some_and(|site| site == "cross-site") {
        return unkept(Html(EnterPage { next: with_query(ENTER, "to", here) }).into_response());
    }
    unkept(Redirect::to(&with_query("/login", "to", here)).into_response())
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// What a person wrote into a form, without what is secret or stands there by itself.
fn words_of(form: &Fields) -> String {
    const WORDS: [&str; 13] = [
        "comment",
        "text",
        "reason",
        "choice",
        "output",
        "policy",
        "prompt",
        "payload",
        "title",
        "document",
        "definition",
        "labels",
        "value",
    ];
    const BEGINNINGS: [&str; 3] = ["text.", "item.", "input"];
    let is_words = |name: &str| WORDS.contains(&name) || BEGINNINGS.iter().any(|it| name.starts_with(it));
    let words = form.iter().filter(|(name, text)| is_words(name) && !text.trim().is_empty());
    words.map(|(_, text)| text).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_form_are_kept_and_its_secrets_are_not() {
        let form = Fields::read(b"csrf=1&seen=abc&comment=too+early&credential%3Ax=secret&text.1=here");
        assert_eq!(words_of(&form), "too early\n\nhere");
    }
}

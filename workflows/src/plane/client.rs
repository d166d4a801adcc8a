//! How Plane is asked: its address, who asks, pages, limits, errors.
//!
//! Law: bounded in time, bytes and pages. A request is sent once: whether it is sent again decides the caller, who knows
//! what a repeat does.

use std::time::Duration;

use everfold_base::json::Value;
use everfold_system::clock;
use hyper::Method;

use super::admitted_issues::AdmittedIssues;
use super::error::PlaneError;
use super::late_writes::LateWrites;
use super::limits::PlaneLimits;
use super::parameters::{IssuePlace, PlaneSite};
use super::states_cache::StatesCache;
use crate::http::{HttpAnswer, HttpClient, HttpRequest, percent_encoded};

/// One request.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// A page of a list, or an issue with its description.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// So long after the start of the engine a request of an engine before it may land: it was given up after 10 seconds.
const SETTLED: Duration = Duration::from_secs(15);
/// Items of a page that are asked for, and pages of one list.
const PAGE_ITEMS: u32 = 100;
const PAGES_MAX: u32 = 10;
/// Of what Plane says of an error.
const SAID_CHARS_MAX: usize = 300;

/// Asks Plane. Cheap to clone.
#[derive(Clone)]
pub(super) struct PlaneClient {
    http: HttpClient,
    /// Of one request.
    time_limit: Duration,
    /// The states of projects that were asked for.
    pub(super) states: StatesCache,
    /// The issues that admissions have read.
    pub(super) admitted: AdmittedIssues,
    /// The states that were written since the start.
    pub(super) late: LateWrites,
    /// Until when Plane asks to be left alone.
    pub(super) limits: PlaneLimits,
}

impl Default for PlaneClient {
    fn default() -> Self {
        Self { late: LateWrites::within(SETTLED), ..Self::within(TIME_LIMIT) }
    }
}

impl PlaneClient {
    /// A client each of whose requests ends within this time, and that had no engine before it.
    pub(super) fn within(time_limit: Duration) -> Self {
        let (states, admitted, limits) = Default::default();
        let late = LateWrites::within(Duration::ZERO);
        Self { http: HttpClient::new(), time_limit, states, admitted, late, limits }
    }

    /// The same, as if the engine had started now: what one before it has sent lands within this time.
    #[cfg(test)]
    pub(super) fn settling(self, settled: Duration) -> Self {
        Self { late: LateWrites::within(settled), ..self }
    }

    /// Asks for one document; `what` is said to be missing where there is none.
    pub(super) async fn get(&self, site: &PlaneSite, path: &str, what: &str) -> Result<Value, PlaneError> {
        self.send(Method::GET, site, &site.token, path, None, what).await
    }

    /// Asks for all items of a list, page by page: `[…]`, or `{results: […], next_page_results, next_cursor}`.
    pub(super) async fn list(
        &self,
        site: &PlaneSite,
        path: &str,
        what: &str,
    ) -> Result<Vec<Value>, PlaneError> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let page = self.get(site, &format!("{path}?per_page={PAGE_ITEMS}{cursor}"), what).await?;
            let next = next_page(&page);
            match page {
                Value::Array(items) => all.extend(items),
                Value::Object(mut page) => match page.remove("results") {
                    Some(Value::Array(items)) => all.extend(items),
                    _none => return Err(PlaneError::Foreign(format!("the {what} come as no list"))),
                },
                _neither => return Err(PlaneError::Foreign(format!("the {what} come as no list"))),
            }
            match next {
                Some(next) => cursor = format!("&cursor={}", percent_encoded(&next, b"")),
                None => return Ok(all),
            }
        }
        Ok(all)
    }

    /// Sends a document as the user of `token`.
    pub(super) async fn send(
        &self,
        method: Method,
        site: &PlaneSite,
        token: &str,
        path: &str,
        body: Option<&Value>,
        what: &str,
    ) -> Result<Value, PlaneError> {
        let mut request = HttpRequest::get(address(site, path));
        request.method = method;
        (request.timeout, request.body_bytes_max) = (self.time_limit, BODY_BYTES_MAX);
        request.headers.insert("accept".to_owned(), "application/json".to_owned());
        request.headers.insert("x-api-key".to_owned(), token.trim().to_owned());
        if let Some(body) = body {
            request.headers.insert("content-type".to_owned(), "application/json".to_owned());
            request.body = Some(body.to_string().into_bytes());
        }
        let answer = self.http.send(request).await.map_err(PlaneError::Http)?;
        if !(200..300).contains(&answer.status) {
            let error = error(&answer, token, what);
            if let PlaneError::Limited { after: Some(pause) } = &error {
                self.limits.note(site, *pause);
            }
            return Err(error);
        }
        if answer.truncated {
            return Err(PlaneError::Foreign("its answer is larger than 4 MiB".to_owned()));
        }
        answer.json().map_err(|_| PlaneError::Foreign("its answer is no JSON".to_owned()))
    }
}

/// The path of a project, below its workspace.
pub(super) fn project_path(project: &str) -> String {
    format!("projects/{}", percent_encoded(project, b""))
}

/// The path of an issue, below its workspace.
pub(super) fn issue_path(place: &IssuePlace) -> String {
    format!("{}/issues/{}", project_path(&place.project), percent_encoded(&place.issue, b""))
}

fn address(site: &PlaneSite, path: &str) -> String {
    let base = site.url.trim().trim_end_matches('/');
    format!("{base}/api/v1/workspaces/{}/{path}", percent_encoded(&site.workspace, b""))
}

fn next_page(page: &Value) -> Option<String> {
    let has_next = page["next_page_results"].as_bool().unwrap_or(false);
    page["next_cursor"].as_str().filter(|_| has_next).map(str::to_owned)
}

fn error(answer: &HttpAnswer, token: &str, what: &str) -> PlaneError {
    let read = answer.json();
    // What stands before Plane answers so while Plane is started anew.
    let is_foreign = read.is_err();
    let document = read.unwrap_or(Value::Null);
    let message = said(answer, &document, token.trim());
    let status = answer.status;
    match status {
        404 | 410 if is_foreign => PlaneError::Foreign(format!("it answered {status}, and no JSON")),
        401 | 403 => PlaneError::Unauthorised { status, message },
        404 | 410 => PlaneError::NotFound { what: what.to_owned() },
        429 => PlaneError::Limited { after: answer.limited_for(clock::now()) },
        503 if answer.limited_for(clock::now()).is_some() => {
            PlaneError::Limited { after: answer.limited_for(clock::now()) }
        }
        408 | 425 | 500..=599 => PlaneError::Broken { status, message },
        400..=499 => PlaneError::Refused { status, message, id: document["id"].as_str().map(str::to_owned) },
        _other => PlaneError::Foreign(format!("it answered {status}")),
    }
}

/// What Plane says of an error, in one line: `{error}`, `{detail}`, or lists of texts by field. The token is masked before
/// anything is cut: a part of it would not be found.
fn said(answer: &HttpAnswer, document: &Value, token: &str) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let of_fields = || {
        let fields = document.as_object()?.iter().take(8);
        let line = |(name, value): (&String, &Value)| {
            let said = value.as_array().and_then(|all| text(all.first()?)).or_else(|| text(value))?;
            Some(if name == "non_field_errors" { said } else { format!("{name}: {said}") })
        };
        let lines: Vec<String> = fields.filter_map(line).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    };
    let said = text(&document["error"]).or_else(|| text(&document["detail"])).or_else(of_fields);
    let said = said.unwrap_or_else(|| super::text::plain_text(&answer.text()));
    let said = if token.is_empty() { said } else { said.replace(token, "***") };
    let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    match said.char_indices().nth(SAID_CHARS_MAX) {
        _ if said.is_empty() => "it said nothing more".to_owned(),
        None => said,
        Some((end, _)) => format!("{}…", &said[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_an_answer_repeats_is_masked_before_the_answer_is_cut() {
        let token = "plane_api_0123456789";
        let detail = format!("{}{token} and more", "y".repeat(SAID_CHARS_MAX - 10));
        let body = serde_json::json!({ "detail": detail }).to_string().into_bytes();
        let (headers, url) = (Default::default(), String::new());
        let answer = HttpAnswer { status: 401, headers, body, truncated: false, url };
        let document = answer.json().unwrap();
        for (token, shown) in [(token, "***"), ("", "plane_api_")] {
            let said = said(&answer, &document, token);
            assert!(said.contains(shown), "{said}");
            assert_eq!(said.contains("plane_"), token.is_empty(), "{said}");
        }
    }
}

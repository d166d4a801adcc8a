//! One request for a page: its caller, what it asks for, and REST as that caller.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::address::{is_position, with_query};
use super::caller::{CallerRole, Who};
use super::own_runs::OwnRuns;
use super::page_frame::{Frame, NavPlace};
use super::request_kind::is_partial;
use crate::Pages;
use crate::login::asked_to_log_in;
use crate::problem::Problem;
use crate::rest::CallerRest;

/// The most tasks that are counted for the navigation.
const WAITING_MAX: u64 = 1_000;

/// The page that reads a moment as people write it.
const MOMENT_PAGE: &str = "/moment";

/// One request for a page: the routes as its caller, and the frame to be.
#[derive(Debug, Clone)]
pub struct Visit {
    /// REST as the caller.
    pub rest: CallerRest,
    /// Who looks.
    pub who: Who,
    /// The moment that is asked for: a time, or a position of the log.
    pub at: Option<String>,
    /// The time to which ages count: that of the moment, or now where the moment is to come; none: now, or nothing says it.
    pub then: Option<String>,
    here: String,
    /// Whether a script asks for a part of the page.
    pub is_partial: bool,
    waiting: u64,
}

impl Visit {
    /// The frame of a page.
    #[must_use]
    pub fn frame(&self, title: impl Into<String>, place: NavPlace) -> Frame {
        Frame {
            title: title.into(),
            place,
            who: self.who.clone(),
            at: self.at.clone(),
            then: self.then.clone(),
            here: self.here.clone(),
            waiting: self.waiting,
            follows: None,
            live: self.at.is_none(),
        }
    }

    /// A path of REST that keeps the asked moment, for routes that know `at`.
    #[must_use]
    pub fn at_moment(&self, path: &str) -> String {
        match &self.at {
            Some(at) => with_query(path, "at", at),
            None => path.to_owned(),
        }
    }

    /// Where the asked moment is read that is written as people write it, such as `-10m`; none: routes know it as it is.
    fn moment_path(&self) -> Option<String> {
        let at = self.at.as_deref().filter(|at| !is_canonical(at))?;
        let here = self.frame("", NavPlace::Elsewhere).here_at("");
        let is_asked = here.split_once('?').map_or(here.as_str(), |(path, _)| path) == MOMENT_PAGE;
        (!is_asked).then(|| with_query(&with_query(MOMENT_PAGE, "here", &here), "at", at))
    }

    /// The shown moment in milliseconds since 1970; now where nothing says its time.
    #[must_use]
    pub fn shown_millis(&self) -> i64 {
        self.then.as_deref().and_then(crate::words::millis).unwrap_or_else(crate::words::now_millis)
    }

    /// The visit of a request, whoever its caller is.
    ///
    /// # Errors
    /// The session cannot be read.
    pub(crate) async fn of(parts: &Parts, pages: &Pages) -> Result<Self, Problem> {
        let rest = pages.rest.called_by(&parts.extensions, &parts.headers);
        let who: Who = rest.get("/session").await?;
        let decides =
            matches!(who.role, Some(CallerRole::Approver | CallerRole::Operator | CallerRole::Admin));
        let waiting = if decides { waiting(&rest, &who).await } else { 0 };
        let at = at_of(&parts.uri);
        let then = match &at {
            Some(at) => time_of(&rest, at).await,
            None => None,
        };
        Ok(Self {
            rest,
            who,
            at,
            then,
            here: parts.uri.path_and_query().map_or("/", |here| here.as_str()).to_owned(),
            is_partial: is_partial(&parts.headers),
            waiting,
        })
    }
}

/// A task of the inbox, as far as it says who decides it.
#[derive(Debug, Deserialize)]
struct OpenTask {
    kind: String,
    #[serde(default)]
    run: String,
    #[serde(default)]
    terms: OpenTerms,
    #[serde(default)]
    votes: BTreeMap<String, String>,
}

impl OpenTask {
    /// Whether it waits for the caller, if it does not matter who started its run.
    fn may_wait_for(&self, who: &Who) -> bool {
        let is_steering = matches!(self.kind.as_str(), "blocked" | "budget");
        who.decides(is_steering, &self.terms.roles) && !self.votes.contains_key(&who.actor)
    }
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct OpenTerms {
    roles: Vec<String>,
    self_approval: bool,
}

impl Default for OpenTerms {
    fn default() -> Self {
        Self { roles: Vec::new(), self_approval: true }
    }
}

#[derive(Debug, Deserialize)]
struct OpenTasks {
    items: Vec<OpenTask>,
}

/// How many tasks wait for the caller; where that cannot be known the page is shown all the same.
async fn waiting(rest: &CallerRest, who: &Who) -> u64 {
    let Ok(tasks) = rest.get::<OpenTasks>(&format!("/inbox?limit={WAITING_MAX}")).await else { return 0 };
    let open: Vec<OpenTask> = tasks.items.into_iter().filter(|task| task.may_wait_for(who)).collect();
    let own = match open.iter().all(|task| task.terms.self_approval) {
        true => OwnRuns::default(),
        false => OwnRuns::load(rest, who, None).await,
    };
    count_waiting(&open, &own)
}

/// How many tasks are not about a run of the caller that somebody else is to decide.
fn count_waiting(open: &[OpenTask], own: &OwnRuns) -> u64 {
    open.iter().filter(|task| task.terms.self_approval || !own.has(&task.run)).count() as u64
}

/// The time of a moment. Of a position the log knows it; of one that it has not reached, or that the caller may not read,
/// nothing does, and what the page asks for is refused.
async fn time_of(rest: &CallerRest, at: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct LogMoment {
        time: Option<String>,
    }
    if !is_position(at) {
        return counted_to(at, Timestamp::now());
    }
    rest.get::<LogMoment>(&format!("/moment?at={at}")).await.ok()?.time
}

/// The time to which ages count at a moment. Nothing has happened after now: at a moment to come it is counted to now.
fn counted_to(at: &str, now: Timestamp) -> Option<String> {
    let millis = crate::words::millis(at)?;
    Some(if millis > now.as_millisecond() { now.to_string() } else { at.to_owned() })
}

/// Whether a moment is written as routes and browsers know it: a position, or a time of RFC 3339.
fn is_canonical(at: &str) -> bool {
    // Other forms of ISO 8601 are read here, too, but not by every browser.
    let is_extended = matches!(at.as_bytes(), [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b't', ..]);
    is_position(at) || (is_extended && crate::words::millis(at).is_some())
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn at_of(uri: &Uri) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.find(|(name, value)| name == "at" && !value.is_empty()).map(|(_, at)| at.into_owned())
}

/// Why a page is not shown.
#[derive(Debug)]
pub struct NotShown(Response);

impl IntoResponse for NotShown {
    fn into_response(self) -> Response {
        self.0
    }
}

impl FromRequestParts<Pages> for Visit {
    type Rejection = NotShown;

    /// A caller whom nobody knows is asked to log in, and comes back here.
    async fn from_request_parts(parts: &mut Parts, pages: &Pages) -> Result<Self, NotShown> {
        let visit = Self::of(parts, pages).await.map_err(|problem| NotShown(problem.into_response()))?;
        if visit.who.role.is_none() {
            return Err(NotShown(asked_to_log_in(parts)));
        }
        if let Some(path) = visit.moment_path().filter(|_| is_read(&parts.method)) {
            return Err(NotShown(Redirect::to(&path).into_response()));
        }
        Ok(visit)
    }
}

#[cfg(test)]
mod tests {
    use super::super::own_runs::own_runs;
    use super::*;

    #[test]
    fn what_the_caller_decided_or_must_not_decide_does_not_wait_for_them() {
        let who: Who = serde_json::from_value(serde_json::json!({"actor": "token:x", "role": "admin"}))
            .expect("a caller");
        let tasks: OpenTasks = serde_json::from_value(serde_json::json!({"items": [
            {"kind": "approval", "run": "a", "terms": {"self_approval": false}},
            {"kind": "approval", "run": "b", "terms": {"self_approval": false}},
            {"kind": "approval", "run": "b", "terms": {"quorum": 2}, "votes": {"token:x": "approve"}},
            {"kind": "approval", "run": "b", "terms": {"quorum": 2}, "votes": {"token:y": "approve"}},
            {"kind": "blocked", "run": "a"},
        ]}))
        .expect("tasks");
        let open: Vec<OpenTask> = tasks.items.into_iter().filter(|task| task.may_wait_for(&who)).collect();
        assert_eq!(open.len(), 4);
        assert_eq!(count_waiting(&open, &own_runs(&["a"])), 3);
    }

    #[test]
    fn ages_count_to_the_moment_and_never_to_one_that_is_to_come() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        let counted = |at| counted_to(at, now);
        assert_eq!(counted("2026-11-22T12:00:00Z").as_deref(), Some("2026-11-22T12:00:00Z"));
        assert_eq!(counted("2999-01-01T00:00:00Z").as_deref(), Some("2026-11-23T12:00:00Z"));
        assert_eq!(counted("garbage"), None);
    }

    #[test]
    fn a_moment_is_a_position_or_a_time_that_browsers_read() {
        for known in ["400", "2026-11-22T14:30:00Z", "2026-11-22T14:30:00.5+01:00"] {
            assert!(is_canonical(known), "{known}");
        }
        for typed in
            ["-10m", "yesterday", "14:32", "2026-11-22", "20261122T143000Z", "2026-11-22Tgarbage", "now"]
        {
            assert!(!is_canonical(typed), "{typed}");
        }
    }
}

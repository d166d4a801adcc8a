//! `/audit`: the list of decisions, and whether the store is whole.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

use super::decision::Decision;
use super::filter::{AuditFilter, DecisionPart, KINDS, PAGE};
use super::names::{AuditNames, names};
use crate::frame::{Frame, NavPlace, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;

/// What the store says of itself: `GET /store`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct StoreFacts {
    position: u64,
    epoch: String,
    unreadable_events: u64,
    set_aside: Vec<Value>,
    warnings: Vec<Value>,
}

impl StoreFacts {
    fn is_whole(&self) -> bool {
        self.unreadable_events == 0 && self.set_aside.is_empty()
    }
}

#[derive(Template)]
#[template(path = "audit/audit.html")]
struct AuditPage {
    frame: Frame,
    filter: AuditFilter,
    items: Vec<Decision>,
    next: Option<String>,
    /// The state of the chain, or why it cannot be read.
    store: Result<StoreFacts, Problem>,
    names: AuditNames,
    /// Why the list cannot be shown.
    problem: Option<Problem>,
    /// The filter that cannot be used, and why; the list is that of the others.
    refused: Option<(&'static str, String)>,
}

/// `GET /audit`: decisions, newest first.
pub(super) async fn list(visit: Visit, Query(filter): Query<AuditFilter>) -> Result<Response, Problem> {
    let (mut used, mut refused) = (filter.clone(), None);
    let mut listed = used.load(&visit, &used.cursor, PAGE).await;
    while let Err(problem) = &listed {
        let Some(name) = used.refused(problem) else { break };
        refused = refused.or_else(|| Some((name, used.refusal(name, problem))));
        used = used.without(name);
        listed = used.load(&visit, &used.cursor, PAGE).await;
    }
    let (part, problem) = match listed {
        Ok(part) => (part, None),
        Err(problem) if problem.is_unknown_caller() => return Err(problem),
        Err(problem) => (DecisionPart::default(), Some(problem)),
    };
    let names = names(&visit, &part.items).await;
    let store = visit.rest.get("/store").await;
    let mut frame = visit.frame("Audit", NavPlace::Audit);
    // A part behind the first stays what it is.
    frame.live &= filter.cursor.is_empty();
    let status = problem.as_ref().map_or(StatusCode::OK, Problem::status);
    let page =
        AuditPage { frame, filter, items: part.items, next: part.next, store, names, problem, refused };
    Ok((status, Html(page)).into_response())
}

impl AuditPage {
    fn next_path(&self) -> Option<String> {
        let next = self.next.as_deref()?;
        Some(self.frame.to(with_query(&self.filter.on("/audit"), "cursor", next)))
    }

    fn export_path(&self, form: &str) -> String {
        self.frame.to(with_query(&self.filter.on("/audit/export"), "as", form))
    }

    /// Whether a filter is the one that cannot be used.
    fn is_refused(&self, name: &str) -> bool {
        self.refused.as_ref().is_some_and(|(refused, _)| *refused == name)
    }

    fn kinds(&self) -> &'static [(&'static str, &'static str)] {
        &KINDS
    }

    /// Whether a choice of the field "what" is the chosen one.
    fn is_kind(&self, kind: &str) -> bool {
        self.filter.kind == kind
    }

    /// The kinds of an address that no choice of the field has.
    fn other_kind(&self) -> Option<&str> {
        let kind = self.filter.kind.as_str();
        let is_choice = kind.is_empty() || KINDS.iter().any(|(known, _)| *known == kind);
        (!is_choice).then_some(kind)
    }

    fn is_verdict(&self, verdict: &str) -> bool {
        self.filter.verdict == verdict
    }
}

//! `/audit/{run}/{version}`: one decision.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

use super::decision::Decision;
use super::filter::AuditFilter;
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::problem::Problem;

/// An event as REST lists it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct AuditEvent {
    hash: String,
    position: u64,
    version: u64,
    recorded_at: String,
    cause: Value,
}

#[derive(Debug, Deserialize)]
struct RecordedEvents {
    items: Vec<AuditEvent>,
}

#[derive(Template)]
#[template(path = "audit/decision.html")]
struct AuditDecisionPage {
    frame: Frame,
    item: Decision,
    event: Option<AuditEvent>,
}

/// `GET /audit/{run}/{version}`: one decision with all of its evidence, and its place in the chain.
pub(super) async fn one(
    visit: Visit,
    Path((run, version)): Path<(String, u64)>,
) -> Result<Response, Problem> {
    let filter = AuditFilter { run, ..AuditFilter::default() };
    let part = filter.load(&visit, &version.saturating_add(1).to_string(), 1).await?;
    let found = part.items.into_iter().find(|item| item.version == version);
    let item =
        found.ok_or_else(|| Problem::not_found(format!("version {version} of this run is no decision")))?;
    let path = format!("/runs/{}/events?from={version}&limit=1", filter.run);
    let events: RecordedEvents = visit.rest.get(&path).await?;
    let event = events.items.into_iter().find(|event| event.version == version);
    let title = format!("{} {} · {}", item.subject(), item.verdict_word(), item.short_id);
    let mut frame = visit.frame(title, NavPlace::Audit);
    // What is recorded does not change.
    frame.live = false;
    Ok(Html(AuditDecisionPage { frame, item, event }).into_response())
}

//! `/audit/{run}/{version}`: one decision.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

use super::decision::Decision;
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

/// The decisions of a run, as REST lists them.
#[derive(Debug, Deserialize)]
struct DecisionsOfRun {
    items: Vec<Decision>,
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
    /// The votes that an approval counts, with what each said.
    votes: Vec<Decision>,
    event: Option<AuditEvent>,
}

/// `GET /audit/{run}/{version}`: one decision with all of its evidence, and its place in the chain.
pub(super) async fn one(
    visit: Visit,
    Path((run, version)): Path<(String, u64)>,
) -> Result<Response, Problem> {
    let (mut item, votes) = decision(&visit, &run, version).await?;
    crate::words::short(&run).clone_into(&mut item.short_id);
    let path = format!("/runs/{run}/events?from={version}&limit=1");
    let events: RecordedEvents = visit.rest.get(&path).await?;
    let event = events.items.into_iter().find(|event| event.version == version);
    let title = format!("{} {} · {}", item.subject(), item.verdict_word(), item.short_id);
    let mut frame = visit.frame(title, NavPlace::Audit);
    // What is recorded does not change.
    frame.live = false;
    Ok(Html(AuditDecisionPage { frame, item, votes, event }).into_response())
}

/// The decision at a version of a run, if it was known at the page's moment, with the votes that it counts.
async fn decision(visit: &Visit, run: &str, version: u64) -> Result<(Decision, Vec<Decision>), Problem> {
    if !run.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'@')) {
        return Err(Problem::not_found(format!(
            "there is no run “{}”",
            crate::tabs::excerpt::clamped(run, 80)
        )));
    }
    let page: DecisionsOfRun = visit.rest.get(&visit.at_moment(&format!("/runs/{run}/audit"))).await?;
    let found = page.items.iter().find(|item| item.version == version).cloned();
    let found =
        found.ok_or_else(|| Problem::not_found(format!("version {version} of this run is no decision")))?;
    let votes = page.items.into_iter().filter(|item| item.is_vote_of(&found)).collect();
    Ok((found, votes))
}

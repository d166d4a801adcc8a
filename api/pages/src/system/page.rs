//! The page.

use askama::Template;
use axum::response::{IntoResponse as _, Response};

use super::facts::SystemFacts;
use super::findings::{Finding, findings};
use super::waiting::{WhoWaits, who_waits};
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "system/system.html")]
struct SystemPage {
    frame: Frame,
    facts: SystemFacts,
    findings: Vec<Finding>,
    who: WhoWaits,
}

/// `GET /system`.
pub(super) async fn system(visit: Visit) -> Result<Response, Problem> {
    let facts = SystemFacts::load(&visit).await?;
    let findings = findings(&facts);
    let who = who_waits(&visit, &facts.limits).await;
    let mut frame = visit.frame("System", NavPlace::System);
    if let Some(worst) = findings.first() {
        frame.title = format!("{} System", worst.glyph());
    }
    Ok(Html(SystemPage { frame, facts, findings, who }).into_response())
}

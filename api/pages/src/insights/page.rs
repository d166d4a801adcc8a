//! The page.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::choice::InsightsChoice;
use super::table::InsightTable;
use crate::board::pipelines;
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::problem::Problem;
use crate::words;

/// What the route answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct InsightsFacts {
    position: u64,
    runs: u64,
    ended: u64,
    items: Vec<InsightTable>,
}

impl InsightsFacts {
    /// Of how many runs the insights are.
    fn of_runs(&self) -> String {
        let [runs, ended] = [self.runs, self.ended].map(words::count);
        match (self.runs, self.ended) {
            (0, _) => "No run fits.".to_owned(),
            (1, 0) => "What the one run that fits shows; it has not ended.".to_owned(),
            (1, _) => "What the one run that fits shows; it has ended.".to_owned(),
            (_, 0) => format!("What {runs} runs show, the newest that fit; none of them has ended."),
            (_, 1) => format!("What {runs} runs show, the newest that fit; one of them has ended."),
            (all, gone) if all == gone => {
                format!("What {runs} runs show, the newest that fit; all of them have ended.")
            }
            _some => format!("What {runs} runs show, the newest that fit; {ended} of them have ended."),
        }
    }
}

#[derive(Template)]
#[template(path = "insights/insights.html")]
struct InsightsPage {
    frame: Frame,
    choice: InsightsChoice,
    facts: InsightsFacts,
    pipelines: Vec<String>,
    /// Why there are no insights.
    problem: Option<Problem>,
    /// The field that cannot be used, and why; the insights are those of the others.
    refused: Option<(&'static str, String)>,
}

impl InsightsPage {
    /// Whether a field is the one that cannot be used.
    fn is_refused(&self, name: &str) -> bool {
        self.refused.as_ref().is_some_and(|(refused, _)| *refused == name)
    }
}

/// `GET /insights`. Its queries scan many runs, so the page does not reload on events.
pub(super) async fn insights(
    visit: Visit,
    Query(choice): Query<InsightsChoice>,
) -> Result<Response, Problem> {
    let (route, refused) = choice.route(&visit);
    let (answer, known) = tokio::join!(visit.rest.get::<InsightsFacts>(&route), pipelines(&visit));
    let (facts, problem) = match answer {
        Ok(facts) => (facts, None),
        Err(problem) if problem.is_unknown_caller() => return Err(problem),
        Err(problem) => (InsightsFacts::default(), Some(problem)),
    };
    let mut frame = visit.frame("Insights", NavPlace::Insights);
    frame.live = false;
    let status = problem.as_ref().map_or(StatusCode::OK, Problem::status);
    let pipelines = known.into_iter().map(|pipeline| pipeline.name).collect();
    let page = InsightsPage { frame, choice, facts, pipelines, problem, refused };
    Ok((status, Html(page)).into_response())
}

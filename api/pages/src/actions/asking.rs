//! The page of an action, and the part of it for a dialog.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::act::Act;
use super::confirmation::{Asked, Confirmation};
use super::verb::Verb;
use crate::frame::{Frame, NavPlace};
use crate::html::Html;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "actions/page.html")]
pub(super) struct ActionPage {
    pub(super) frame: Frame,
    pub(super) asking: Asking,
}

/// The same inside the dialog of a page.
#[derive(Template)]
#[template(path = "actions/part.html")]
pub(super) struct ActionPart<'a> {
    pub(super) frame: &'a Frame,
    pub(super) asking: &'a Asking,
}

impl ActionPage {
    fn part(&self) -> ActionPart<'_> {
        ActionPart { frame: &self.frame, asking: &self.asking }
    }
}

/// What stands on the page of an action.
pub(super) struct Asking {
    pub(super) verb: Verb,
    /// The run's page.
    pub(super) run_path: String,
    pub(super) short_id: String,
    pub(super) pipeline: String,
    pub(super) status: String,
    pub(super) confirmation: Confirmation,
    pub(super) problem: Option<Problem>,
}

impl Asking {
    /// The single faults of a refusal, for readers.
    fn faults(&self) -> Vec<String> {
        let errors = self.problem.iter().flat_map(|problem| &problem.errors);
        let line = |error: &Value| {
            let text = |name: &str| error.get(name).and_then(Value::as_str);
            match (text("path").or(text("gate")), text("message")) {
                (Some(place), Some(message)) => format!("{place}: {message}"),
                (None, Some(message)) => message.to_owned(),
                _unknown => error.to_string(),
            }
        };
        errors.map(line).collect()
    }
}

/// The page, or the part of it for a dialog.
pub(super) fn shown(act: Act, problem: Option<Problem>, mut confirmation: Confirmation) -> Response {
    // A script shows the part whatever its status is; browsers would complain of a status that is no success.
    let status = match &problem {
        Some(problem) if !act.visit.is_partial => problem.status(),
        _shown_as_it_is => StatusCode::OK,
    };
    let mut problem = problem;
    if let Some(problem) = &mut problem {
        confirmation.take_errors(problem, &act.typed);
    }
    let mut frame = act.visit.frame(confirmation.title.clone(), NavPlace::Elsewhere);
    frame.live = false;
    let asking = Asking {
        verb: act.verb,
        run_path: act.run.path(),
        short_id: act.run.short_id,
        pipeline: act.run.pipeline,
        status: act.run.status,
        confirmation,
        problem,
    };
    let page = ActionPage { frame, asking };
    let mut response =
        if act.visit.is_partial { Html(page.part()).into_response() } else { Html(page).into_response() };
    *response.status_mut() = status;
    response
}

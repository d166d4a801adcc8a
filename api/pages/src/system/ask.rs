//! The question before an act: what will happen, what may be said to it, and one button.
//!
//! Law: what is refused is shown above the question, with what was typed still in it.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use crate::form::Fields;
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::problem::Problem;
pub(crate) use crate::words::encoded as segment;

/// How a field is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AskField {
    /// It is not shown.
    Hidden,
    /// A line of text, with an example.
    Text(&'static str),
    /// One of these, each with its word.
    Choice(&'static [(&'static str, &'static str)]),
}

/// A field of the question.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) kind: AskField,
    pub(crate) value: String,
    pub(crate) is_needed: bool,
}

impl Given {
    /// Must be filled in.
    pub(crate) fn needed(mut self) -> Self {
        self.is_needed = true;
        self
    }

    /// What it says from the start.
    pub(crate) fn saying(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.kind == AskField::Hidden
    }

    pub(crate) fn example(&self) -> &'static str {
        match self.kind {
            AskField::Text(example) => example,
            _ => "",
        }
    }

    pub(crate) fn choices(&self) -> &'static [(&'static str, &'static str)] {
        match self.kind {
            AskField::Choice(choices) => choices,
            _ => &[],
        }
    }

    pub(crate) fn is_choice(&self) -> bool {
        matches!(self.kind, AskField::Choice(_))
    }

    pub(crate) fn is(&self, value: &str) -> bool {
        self.value == value
    }
}

/// A field by its name, label, hint and kind.
pub(crate) fn field(name: &'static str, label: &'static str, hint: &'static str, kind: AskField) -> Given {
    Given { name, label, hint, kind, value: String::new(), is_needed: false }
}

/// The hidden field with what is to be changed, as it was when the page was made.
pub(crate) const WAS: &str = "was";

/// The question before an act.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) title: String,
    /// What will happen, in a sentence.
    pub(crate) consequence: String,
    pub(crate) fields: Vec<Given>,
    pub(crate) button: String,
    pub(crate) is_danger: bool,
    /// Where the form is sent.
    pub(crate) action: String,
    /// Where who does not want it goes back to, and who did it.
    pub(crate) back: String,
    pub(crate) place: NavPlace,
}

#[derive(Template)]
#[template(path = "system/ask.html")]
struct AskPage {
    frame: Frame,
    ask: Ask,
    problem: Option<Problem>,
}

#[derive(Template)]
#[template(path = "system/ask_part.html")]
struct AskPart {
    frame: Frame,
    ask: Ask,
    problem: Option<Problem>,
}

impl Ask {
    /// The page of the question, or the part for a dialog.
    pub(crate) fn shown(self, visit: &Visit, problem: Option<Problem>) -> Response {
        let status = problem.as_ref().map_or(StatusCode::OK, Problem::status);
        let mut frame = visit.frame(self.title.clone(), self.place);
        frame.live = false;
        let mut response = match visit.is_partial {
            true => Html(AskPart { frame, ask: self, problem }).into_response(),
            false => Html(AskPage { frame, ask: self, problem }).into_response(),
        };
        *response.status_mut() = status;
        response
    }

    /// The question with what was typed.
    pub(crate) fn typed(mut self, fields: &Fields) -> Self {
        // What it was is what it is now.
        for given in self.fields.iter_mut().filter(|given| given.name != WAS) {
            given.value = fields.text(given.name).unwrap_or_default().to_owned();
        }
        self
    }
}

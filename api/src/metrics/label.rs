//! The values of labels.
//!
//! Law: no value is a caller's text. It is a word of this program, a route that it serves, a status that it
//! answers with, or the name of a pipeline or step, of which [`super::steps`] lets few through: so whatever is asked, the series
//! stay few.

use std::fmt::Write as _;

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// What stands for every method that this service does not know, since a caller may send any word, and for names beyond those
/// that have series.
const OTHER: &str = "_OTHER";

/// One value of a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum LabelValue {
    /// A word of this program.
    Word(&'static str),
    /// A route, with names in place of what callers write there.
    Route(Box<str>),
    /// The status of an answer.
    Status(u16),
    /// A pipeline or a step.
    Name(Box<str>),
}

impl LabelValue {
    /// The route that a request was led to; what is no route counts as one.
    pub(super) fn route(matched: Option<&MatchedPath>) -> Self {
        matched.map_or(Self::Word("none"), |route| Self::Route(route.as_str().into()))
    }

    /// The name of a pipeline or step that has series of its own.
    pub(super) fn name(name: &str) -> Self {
        Self::Name(name.into())
    }

    /// What stands for all that has no series of its own.
    pub(super) fn other() -> Self {
        Self::Word(OTHER)
    }

    pub(super) fn status(status: StatusCode) -> Self {
        Self::Status(status.as_u16())
    }

    /// The method, as OpenTelemetry's `http.request.method` tells it.
    pub(super) fn method(method: &Method) -> Self {
        Self::Word(match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            Method::OPTIONS => "OPTIONS",
            Method::CONNECT => "CONNECT",
            Method::TRACE => "TRACE",
            _ => OTHER,
        })
    }
}

impl From<&'static str> for LabelValue {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl EncodeLabelValue for LabelValue {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Word(word) => encoder.write_str(word),
            Self::Route(text) | Self::Name(text) => encoder.write_str(text),
            Self::Status(status) => write!(encoder, "{status}"),
        }
    }
}

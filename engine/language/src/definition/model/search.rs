//! What a run is found by beside its labels: values with types.

use serde::{Deserialize, Serialize};

use crate::expr::Template;

/// The most search attributes of a pipeline.
pub const SEARCH_MAX: usize = 32;

/// A search attribute of the pipeline's runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchAttribute {
    /// What it holds; `None`: what its value is.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SearchType>,
    /// Computed when the run starts; `None`: a step sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Template>,
}

/// What a search attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchType {
    /// A text.
    Text,
    /// A number, whole or not.
    Number,
    /// A moment.
    Time,
    /// True or false.
    Bool,
    /// A list of texts.
    List,
}

impl SearchType {
    /// Every type by the word that files have.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("text", Self::Text),
        ("number", Self::Number),
        ("time", Self::Time),
        ("bool", Self::Bool),
        ("list", Self::List),
    ];

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Time => "a time",
            Self::Bool => "a bool",
            Self::List => "a list of texts",
        }
    }
}

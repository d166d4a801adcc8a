//! Values of search attributes. Frozen with the event that holds them.

use std::cmp::Ordering;

use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The value of a search attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchValue {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Number(SearchNumber),
    /// A moment.
    Time(Timestamp),
    /// True or false.
    Flag(bool),
    /// A list of texts.
    Texts(Vec<String>),
}

impl SearchValue {
    /// The type's word, as pipelines have it.
    #[must_use]
    pub fn type_word(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Whole(_) | Self::Number(_) => "number",
            Self::Time(_) => "time",
            Self::Flag(_) => "bool",
            Self::Texts(_) => "list",
        }
    }

    /// The value in JSON, as rows and expressions have it.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::Text(text) => text.clone().into(),
            Self::Whole(whole) => (*whole).into(),
            Self::Number(number) => number.get().into(),
            Self::Time(time) => time.to_string().into(),
            Self::Flag(flag) => (*flag).into(),
            Self::Texts(texts) => texts.clone().into(),
        }
    }

    /// What it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Whole(_) | Self::Number(_) | Self::Time(_) => 8,
            Self::Flag(_) => 1,
            Self::Texts(texts) => texts.iter().map(|text| text.len() + 1).sum(),
        }
    }
}

/// A number with a fraction; it is never NaN, so it is equal to itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SearchNumber(f64);

impl SearchNumber {
    /// The number; what is none is 0, and -0 as well.
    #[must_use]
    pub fn new(number: f64) -> Self {
        Self(if number.is_finite() && number != 0.0 { number } else { 0.0 })
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for SearchNumber {
    fn eq(&self, other: &Self) -> bool {
        self.0.total_cmp(&other.0) == Ordering::Equal
    }
}

impl Eq for SearchNumber {}

//! When people are reminded of what waits for them.

use std::time::Duration;

use serde_json::{Value, json};

use super::value::{Number, Pause};

/// When people are reminded: a span, again and again, or [`Remind::first`].
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Remind(Value);

impl Remind {
    /// The keys that it can have.
    #[cfg(test)]
    pub(super) const KEYS: &'static [&'static str] = &["first", "every", "max"];

    /// Again and again, the first time after as long.
    pub fn every(span: impl Into<Pause>) -> Self {
        Self(json!({})).with("every", span.into())
    }

    /// Once, so long after the beginning; again with [`Remind::then_every`].
    pub fn first(span: impl Into<Pause>) -> Self {
        Self(json!({})).with("first", span.into())
    }

    /// Again and again after that.
    pub fn then_every(self, span: impl Into<Pause>) -> Self {
        self.with("every", span.into())
    }

    /// So often in all.
    pub fn at_most(self, max: impl Into<Number>) -> Self {
        self.with("max", max.into())
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if !self.0.is_object() {
            self.0 = json!({ "every": self.0 });
        }
        self.0[key] = value.into();
        self
    }
}

impl From<Remind> for Value {
    fn from(remind: Remind) -> Self {
        remind.0
    }
}

impl From<&str> for Remind {
    fn from(span: &str) -> Self {
        Self(span.into())
    }
}

impl From<String> for Remind {
    fn from(span: String) -> Self {
        Self(span.into())
    }
}

impl From<Duration> for Remind {
    fn from(span: Duration) -> Self {
        Self(Pause::from(span).into())
    }
}

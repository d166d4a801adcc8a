//! The search as the runtime uses it: for what people and other systems say.

use std::borrow::Cow;
use std::sync::Arc;

use everfold_base::json::Value;
use everfold_ports::Redactor;

use super::mask::Mask;
use crate::redact::{Patterns, RedactSettings};

/// Masks credentials by their form.
pub(crate) struct TextRedactor(Option<Arc<Patterns>>);

impl TextRedactor {
    /// What the settings, which were checked, search for.
    pub(crate) fn new(settings: &RedactSettings) -> Self {
        Self(Patterns::new(settings))
    }
}

impl Redactor for TextRedactor {
    fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.0.as_ref().and_then(|patterns| patterns.bytes(text.as_bytes())) {
            Some(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
            None => Cow::Borrowed(text),
        }
    }

    fn value(&self, value: &mut Value) {
        Mask::of_patterns(self.0.clone()).value(value);
    }

    fn find(&self, text: &str) -> Option<(String, usize)> {
        let (name, at) = self.0.as_ref()?.first(text.as_bytes())?;
        Some((name.to_owned(), text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1))
    }
}

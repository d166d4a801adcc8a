//! Values that stand in the file or are computed: numbers, spans.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::expr::Template;

/// A span in the document: text as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&everfold_base::duration::format(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        everfold_base::duration::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A number or a span that stands in the file, or is computed when it is needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting<T> {
    /// As written.
    Fixed(T),
    /// A text with `${…}`; its rendered value is read like a written one.
    Computed(Template),
}

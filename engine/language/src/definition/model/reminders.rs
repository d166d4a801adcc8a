//! When people are reminded of what waits for them.
//!
//! Law: reminders are bounded, whatever a pipeline says: [`REMINDERS_DEFAULT`] where it says nothing. A plain `every`
//! stands in the document as it is, so that the hash of a pipeline from before does not change.

use serde::{Deserialize, Serialize};

/// How many reminders there are of one thing where the pipeline does not say.
pub const REMINDERS_DEFAULT: u32 = 100;
/// The most reminders of one thing.
pub const REMINDERS_MAX: u32 = 1_000;

/// When people are reminded, and how often at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written<T>", into = "Written<T>")]
#[serde(bound(serialize = "T: Clone + Serialize", deserialize = "T: Deserialize<'de>"))]
pub struct Reminders<T> {
    /// From the beginning to the first; `None`: as between the others.
    pub first: Option<T>,
    /// Between two; `None`: there is the first alone.
    pub every: Option<T>,
    /// How many there are at most; `None`: [`REMINDERS_DEFAULT`].
    pub max: Option<u32>,
}

impl<T> Reminders<T> {
    /// Reminders that come again and again.
    #[must_use]
    pub fn every(span: T) -> Self {
        Self { first: None, every: Some(span), max: None }
    }

    /// From the beginning to the first one.
    #[must_use]
    pub fn before_first(&self) -> Option<&T> {
        self.first.as_ref().or(self.every.as_ref())
    }

    /// How many there are at most.
    #[must_use]
    pub fn bound(&self) -> u32 {
        match self.every {
            Some(_) => self.max.unwrap_or(REMINDERS_DEFAULT),
            None => 1,
        }
    }
}

/// As it stands in the document. The map comes first: what is computed may be read from any value.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Written<T> {
    Full(ReminderKeys<T>),
    Every(T),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReminderKeys<T> {
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    first: Option<T>,
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    every: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
}

impl<T> From<Written<T>> for Reminders<T> {
    fn from(written: Written<T>) -> Self {
        match written {
            Written::Every(span) => Self::every(span),
            Written::Full(ReminderKeys { first, every, max }) => Self { first, every, max },
        }
    }
}

impl<T> From<Reminders<T>> for Written<T> {
    fn from(reminders: Reminders<T>) -> Self {
        match reminders {
            Reminders { first: None, every: Some(span), max: None } => Self::Every(span),
            Reminders { first, every, max } => Self::Full(ReminderKeys { first, every, max }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{REMINDERS_DEFAULT, Reminders};
    use crate::definition::{Setting, Span};
    use serde_json::json;

    #[test]
    fn reminders_are_written_as_they_are_read_and_a_plain_span_stays_one() {
        for written in [
            json!("8h"),
            json!("${input.pause}"),
            json!({"first": "2h"}),
            json!({"first": "2h", "every": "${input.pause}", "max": 3}),
        ] {
            let read: Reminders<Setting<Span>> = serde_json::from_value(written.clone()).expect("readable");
            assert_eq!(serde_json::to_value(&read).expect("JSON"), written);
        }
        let fixed: Reminders<Span> = serde_json::from_value(json!("8h")).expect("readable");
        assert_eq!((fixed.bound(), fixed.before_first()), (REMINDERS_DEFAULT, fixed.every.as_ref()));
        let once: Reminders<Span> = serde_json::from_value(json!({"first": "2h"})).expect("readable");
        assert_eq!(once.bound(), 1, "without `every` there is one");
        assert!(serde_json::from_value::<Reminders<Span>>(json!({"until": "2h"})).is_err());
    }
}

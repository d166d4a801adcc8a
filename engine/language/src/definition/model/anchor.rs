//! What the spans of a schedule are counted from.

use std::fmt;
use std::str::FromStr;

use everfold_base::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The word for the moment at which a schedule was saved or added.
const ADDED: &str = "added";

/// What `every` is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The moment at which the schedule was saved, added or changed.
    Added,
    /// An instant: the first moment.
    At(Timestamp),
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added => f.write_str(ADDED),
            Self::At(at) => at.fmt(f),
        }
    }
}

/// A text that is no anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnchor {
    /// It is nothing that a schedule could begin with.
    #[error("“{0}” is no anchor: neither `added` nor a time")]
    NoTime(String),
    /// Its day is behind the last instant.
    #[error("“{0}” is no anchor: it is too far away")]
    TooFar(String),
}

impl FromStr for Anchor {
    type Err = BadAnchor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            ADDED => Ok(Self::Added),
            time => time.parse().map(Self::At).map_err(|_| match Timestamp::is_too_far(text) {
                true => BadAnchor::TooFar(text.to_owned()),
                false => BadAnchor::NoTime(text.to_owned()),
            }),
        }
    }
}

impl Serialize for Anchor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Anchor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

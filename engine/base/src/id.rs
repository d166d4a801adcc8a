//! Names of things: runs, steps, rounds, attempts, places in streams.
//!
//! Law: ids are derived, not drawn. The one exception is a root run's UUIDv7, which the runtime
//! draws; everything below it follows from (run, step path, round, attempt).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

macro_rules! counter {
    ($(#[$meta:meta])* $name:ident, $inner:ty) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number before the first one.
            pub const ZERO: Self = Self(0);
            /// The first number.
            pub const FIRST: Self = Self(1);

            /// The following number.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// The plain number.
            #[must_use]
            pub fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

counter!(
    /// An event's place in its stream: 1-based, without gaps; 0 is "before the first".
    Version, u64
);
counter!(
    /// An event's place in the whole store: 1-based, strictly increasing, without gaps.
    Position, u64
);
counter!(
    /// One visit of a step; rework starts the next. 1-based.
    Round, u32
);
counter!(
    /// One try inside a round; retry starts the next. 1-based.
    Attempt, u32
);

/// Identity of a run and of its stream.
///
/// A root run's id is a UUIDv7; a child's is derived from its parent's step ([`RunId::child`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl RunId {
    /// The last 8 hexadecimal digits: what people type. The first ones are time and collide.
    #[must_use]
    pub fn short(&self) -> String {
        let text = self.0.simple().to_string();
        text[24..].to_owned()
    }

    /// The id that follows from a text: of a run whose history another system recorded (UUIDv5).
    #[must_use]
    pub fn of_text(text: &str) -> RunId {
        RunId(Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()))
    }

    /// The id of the child run that one attempt of a `run` step starts (UUIDv5 of the attempt).
    #[must_use]
    pub fn child(&self, attempt: &AttemptId) -> RunId {
        RunId(Uuid::new_v5(&self.0, attempt.to_string().as_bytes()))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(RunId)
    }
}

/// A step's name inside its pipeline: `[a-z0-9][a-z0-9_-]{0,63}`. Cheap to clone; a short one
/// needs no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(SmolStr);

impl StepId {
    /// Wraps a name that the definition has already checked.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(SmolStr::new(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for StepId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for StepId {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// A step, or one item of a `foreach` step. Written `STEP` or `STEP.ITEM`, items 0-based.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepPath {
    /// The step.
    pub step: StepId,
    /// The item's index in the list that `foreach` went over.
    pub item: Option<u32>,
}

impl StepPath {
    /// The step as a whole.
    #[must_use]
    pub fn step(step: &StepId) -> Self {
        Self { step: step.clone(), item: None }
    }

    /// One item of a `foreach` step.
    #[must_use]
    pub fn item(step: &StepId, item: u32) -> Self {
        Self { step: step.clone(), item: Some(item) }
    }
}

impl fmt::Display for StepPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item {
            None => write!(f, "{}", self.step),
            Some(item) => write!(f, "{}.{item}", self.step),
        }
    }
}

/// A text that is no `STEP`, `STEP.ITEM` or attempt id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a step path (STEP or STEP.ITEM) or an attempt id (STEP/ROUND/ATTEMPT)")]
pub struct BadStepPath(pub String);

impl FromStr for StepPath {
    type Err = BadStepPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadStepPath(text.to_owned());
        match text.split_once('.') {
            _ if text.is_empty() || text.starts_with('.') => Err(bad()),
            None => Ok(Self { step: StepId::new(text), item: None }),
            Some((step, item)) => {
                Ok(Self { step: StepId::new(step), item: Some(item.parse().map_err(|_| bad())?) })
            }
        }
    }
}

/// One attempt inside a run. Names processes, tasks, folders and results. Written
/// `STEP[.ITEM]/ROUND/ATTEMPT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The step, or the item of a `foreach` step.
    pub path: StepPath,
    /// The visit of the step.
    pub round: Round,
    /// The try inside the round.
    pub attempt: Attempt,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.path, self.round, self.attempt)
    }
}

impl FromStr for AttemptId {
    type Err = BadStepPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadStepPath(text.to_owned());
        let mut parts = text.splitn(3, '/');
        let path = parts.next().ok_or_else(bad)?.parse()?;
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or_else(bad);
        Ok(Self { path, round: Round(number()?), attempt: Attempt(number()?) })
    }
}

/// One piece of outstanding work in the whole store: an attempt with its run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectId {
    /// The run.
    pub run: RunId,
    /// The attempt inside it.
    pub attempt: AttemptId,
}

impl EffectId {
    /// What an outside system sees as the identity of this work: equal for every attempt of one
    /// round, because a retry after a time-out is exactly when the key is needed.
    ///
    /// 32 hexadecimal digits of BLAKE3 over `run/path/round`.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        let text = format!("{}/{}/{}", self.run, self.attempt.path, self.attempt.round);
        blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
    }
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.run, self.attempt)
    }
}

/// Identity of an input: what makes a repeated one recognisable. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputId(pub [u8; 16]);

impl InputId {
    /// Derives an id from what the input is about, for inputs that the engine itself makes.
    #[must_use]
    pub fn derive(about: &str) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(about.as_bytes()).as_bytes()[..16]);
        Self(id)
    }
}

impl fmt::Display for InputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InputId({self})")
    }
}

impl FromStr for InputId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(|id| Self(*id.as_bytes()))
    }
}

impl Serialize for InputId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for InputId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 16]>::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(attempt: u32) -> EffectId {
        EffectId {
            run: RunId(Uuid::from_u128(7)),
            attempt: AttemptId {
                path: StepPath::item(&"build".into(), 3),
                round: Round(2),
                attempt: Attempt(attempt),
            },
        }
    }

    #[test]
    fn i1_an_effect_is_named_by_path_round_and_attempt_and_reads_back_as_written() {
        for text in ["build/1/1", "build.3/2/14"] {
            assert_eq!(text.parse::<AttemptId>().unwrap().to_string(), text);
        }
        for text in ["", "build", "build/1", "build.x/1/1", "build/1/x"] {
            assert!(text.parse::<AttemptId>().is_err(), "{text}");
        }
    }

    #[test]
    fn i2_the_idempotency_key_leaves_the_attempt_out_and_a_retry_gets_a_new_child() {
        let (first, second) = (attempt(1), attempt(2));
        assert_eq!(first.idempotency_key(), second.idempotency_key());
        assert_ne!(first.run.child(&first.attempt), second.run.child(&second.attempt));
        assert_eq!(first.run.child(&first.attempt), first.run.child(&first.attempt));
    }

    #[test]
    fn short_ids_are_the_last_eight_digits() {
        let run: RunId = "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap();
        assert_eq!(run.short(), "deadbeef");
    }
}

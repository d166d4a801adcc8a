//! The name of a worker: the actor of its token, and its process.

use std::fmt;
use std::str::FromStr;

use everfold_system::clock;
use serde::{Deserialize, Serialize};

/// The longest name of an instance.
const INSTANCE_BYTES_MAX: usize = 64;

/// A worker: several processes may use one token, which their instances distinguish.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerName {
    /// The actor.
    #[serde(rename = "worker")]
    pub actor: String,
    /// The process, as it calls itself; `None`: it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
}

impl WorkerName {
    /// The worker that an actor is, by itself or as one of its processes.
    #[must_use]
    pub fn new(actor: impl Into<String>, instance: Option<Instance>) -> Self {
        Self { actor: actor.into(), instance }
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance {
            None => f.write_str(&self.actor),
            Some(instance) => write!(f, "{} ({instance})", self.actor),
        }
    }
}

/// What a worker's process calls itself: 1 to 64 of `A-Z a-z 0-9 . _ -`, a letter or digit first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Instance(String);

/// A text that names no instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an instance is named by 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first")]
pub struct BadInstance;

impl Instance {
    /// A name that no other process has: the host, the process, and a drawn part.
    #[must_use]
    pub fn draw() -> Self {
        let drawn = format!("{}-{:08x}", std::process::id(), clock::draw_u128() as u32);
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        let room = INSTANCE_BYTES_MAX - drawn.len() - 1;
        let is_word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let host: String = host.chars().filter(is_word).take(room).collect();
        let named = format!("{}-{drawn}", host.trim_start_matches(['.', '_', '-']));
        Self(named.trim_start_matches('-').to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Instance {
    type Err = BadInstance;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        match begins && text.len() <= INSTANCE_BYTES_MAX && text.bytes().all(is_word) {
            true => Ok(Self(text.to_owned())),
            false => Err(BadInstance),
        }
    }
}

impl TryFrom<String> for Instance {
    type Error = BadInstance;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Instance> for String {
    fn from(instance: Instance) -> Self {
        instance.0
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_59_a_drawn_instance_is_a_name_that_no_other_process_has() {
        let (one, other) = (Instance::draw(), Instance::draw());
        assert_ne!(one, other);
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
        for bad in ["", "-a", ".a", "a b", "a/b", "ü", "a\n", &"x".repeat(65)] {
            assert_eq!(bad.parse::<Instance>(), Err(BadInstance), "{bad}");
        }
        assert!("x".repeat(64).parse::<Instance>().is_ok());
    }
}

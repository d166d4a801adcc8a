//! Who caused something.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who an input came from; every event carries it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// The engine itself: results of work, timers, recovery.
    Engine,
    /// A person at the command line, by their login name.
    User(String),
    /// The holder of an access token, by the token's name.
    Token(String),
    /// A webhook, by its source.
    Hook(String),
    /// A schedule, by its name.
    Schedule(String),
    /// Another run, by its id, or a step's process, by `ID/STEP`.
    Run(String),
    /// A remote worker, by its name.
    Worker(String),
}

impl Actor {
    fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Engine => ("engine", None),
            Self::User(name) => ("user", Some(name)),
            Self::Token(name) => ("token", Some(name)),
            Self::Hook(name) => ("hook", Some(name)),
            Self::Schedule(name) => ("schedule", Some(name)),
            Self::Run(name) => ("run", Some(name)),
            Self::Worker(name) => ("worker", Some(name)),
        }
    }

    /// Whether the engine itself caused it. Its reports of work are recognised by what they are about, the inputs
    /// of all other actors by their id.
    #[must_use]
    pub fn is_engine(&self) -> bool {
        matches!(self, Self::Engine)
    }

    /// Who is behind it.
    #[must_use]
    pub fn person(&self) -> Person<'_> {
        let (kind, name) = self.parts();
        Person::new(kind, name.unwrap_or_default())
    }

    /// Who it is, as people call them: the name alone, and that of a person behind a source with it, as `42 (telegram)`.
    #[must_use]
    pub fn plain_name(&self) -> String {
        match self {
            Self::Engine => "the engine".to_owned(),
            Self::User(name) => name.clone(),
            Self::Hook(name) => match name.split_once('/') {
                Some((source, sender)) => format!("{sender} ({source})"),
                None => name.clone(),
            },
            _other => self.to_string(),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (kind, None) => f.write_str(kind),
            (kind, Some(name)) => write!(f, "{kind}:{name}"),
        }
    }
}

/// Who is behind an actor: a login name, and the token of that name, as `everfold ui` makes one, are one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person<'a> {
    kind: &'a str,
    name: &'a str,
}

impl<'a> Person<'a> {
    fn new(kind: &'a str, name: &'a str) -> Self {
        let kind = if kind == "token" { "user" } else { kind };
        Self { kind, name }
    }

    /// The person of an actor as votes are recorded, as [`Actor`] is written.
    #[must_use]
    pub fn of_text(actor: &'a str) -> Self {
        let (kind, name) = actor.split_once(':').unwrap_or((actor, ""));
        Self::new(kind, name)
    }
}

/// A text that names no actor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "“{0}” names no actor (engine, user:NAME, token:NAME, hook:SOURCE, schedule:NAME, run:ID, worker:NAME)"
)]
pub struct BadActor(pub String);

impl FromStr for Actor {
    type Err = BadActor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((kind, name)) = text.split_once(':') else {
            return if text == "engine" { Ok(Self::Engine) } else { Err(BadActor(text.to_owned())) };
        };
        let name = name.to_owned();
        Ok(match kind {
            "user" => Self::User(name),
            "token" => Self::Token(name),
            "hook" => Self::Hook(name),
            "schedule" => Self::Schedule(name),
            "run" => Self::Run(name),
            "worker" => Self::Worker(name),
            _ => return Err(BadActor(text.to_owned())),
        })
    }
}

impl Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_name_and_the_token_of_that_name_are_one_person() {
        let actor = |text: &str| text.parse::<Actor>().unwrap();
        for (one, other, is_same) in [
            ("user:ada", "token:ada", true),
            ("token:ada", "token:ada", true),
            ("user:ada", "token:eve", false),
            ("hook:ada", "token:ada", false),
            ("engine", "engine", true),
        ] {
            assert_eq!(actor(one).person() == actor(other).person(), is_same, "{one} {other}");
            assert_eq!(Person::of_text(one) == actor(other).person(), is_same, "{one} {other}");
        }
    }

    #[test]
    fn actors_read_back_as_written() {
        for text in
            ["engine", "user:ada", "token:ci", "hook:gitea", "schedule:nightly", "run:1", "worker:w:1"]
        {
            assert_eq!(text.parse::<Actor>().unwrap().to_string(), text);
        }
        assert!("robot:x".parse::<Actor>().is_err());
        assert!("user".parse::<Actor>().is_err());
    }
}

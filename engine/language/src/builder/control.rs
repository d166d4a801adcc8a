//! What a run may take and use: settings, its key, slots, budgets, secrets.

use serde_json::{Value, json};

use super::construct::{Construct as _, construct};
use super::remind::Remind;
use super::value::{Data, Flag, Money, Number, Pause, Text, Texts, Word};
use crate::definition::{OnLimit, OnOver, OnTaken, Period, Release};

/// A settings document: files, and what holds where they say nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Config(Vec<Value>);

impl Config {
    /// Files; earlier ones win, missing ones are skipped.
    #[must_use]
    pub fn files(paths: impl Into<Texts>) -> Self {
        let paths: Texts = paths.into();
        match Value::from(paths) {
            Value::Array(paths) => Self(paths),
            one => Self(vec![one]),
        }
    }

    /// What holds where no file says otherwise.
    #[must_use]
    pub fn or(mut self, values: impl Into<Data>) -> Self {
        let values: Data = values.into();
        self.0.push(values.into());
        self
    }
}

impl From<&str> for Config {
    fn from(path: &str) -> Self {
        Self::files(path)
    }
}

impl<const N: usize> From<[&str; N]> for Config {
    fn from(paths: [&str; N]) -> Self {
        Self::files(paths)
    }
}

impl From<Config> for Value {
    fn from(config: Config) -> Self {
        Self::Array(config.0)
    }
}

construct! {
    /// The run's identity: one holder at a time in the store.
    Key
    set {
        /// When it is free again.
        release "release": Word<Release>;
        /// What a start does that finds it taken.
        on_taken "on_taken": Word<OnTaken>;
    }
    also ["value"]
}

impl Key {
    /// Rendered when the run starts; null is no key, an empty text refuses the start.
    pub fn new(value: impl Into<Text>) -> Self {
        let value: Text = value.into();
        Self::empty().with_key("value", value)
    }
}

impl From<&str> for Key {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

construct! {
    /// A slot that a run holds from its admission to its end.
    Concurrency
    set {
        /// How many runs hold one at once; without it one.
        limit "limit": Number;
        /// What a start does that finds none free.
        on_limit "on_limit": Word<OnLimit>;
        /// Whether it is needed at all.
        when "when": Text;
    }
    also ["key"]
}

impl Concurrency {
    /// Of this key, rendered when the run starts.
    pub fn new(key: impl Into<Text>) -> Self {
        let key: Text = key.into();
        Self::empty().with_key("key", key)
    }
}

construct! {
    /// What a run, or all runs of a scope, may use up.
    Budget
    set {
        /// Whose use is counted together; without it this run's.
        scope "scope": Text;
        /// Over which time.
        per "per": Word<Period>;
        /// The time zone in which a day, a week, a month begins.
        zone "zone": Text;
        /// Money.
        cost "cost": Money;
        /// Tokens.
        tokens "tokens": Number;
        /// Time.
        wall "wall": Pause;
        /// What must be left for paid work to start.
        reserve "reserve": Money;
        /// What follows when it is used up.
        on_over "on_over": Word<OnOver>;
        /// A copy of the run begins with what the run had used up.
        carry "carry": Flag;
        /// When people are reminded while it holds the run.
        remind "remind": Remind;
    }
    also ["id"]
}

impl Budget {
    /// A budget of this name.
    pub fn new(id: impl Into<String>) -> Self {
        Self::empty().with_key("id", id.into())
    }
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Secret(Value);

impl Secret {
    /// The keys that it can have.
    #[cfg(test)]
    pub(super) const KEYS: &'static [&'static str] = &["env", "file", "command", "credential", "of", "else"];

    /// A variable of the engine's own environment.
    #[must_use]
    pub fn env(variable: impl Into<String>) -> Self {
        Self(json!({ "env": variable.into() }))
    }

    /// A file.
    #[must_use]
    pub fn file(path: impl Into<String>) -> Self {
        Self(json!({ "file": path.into() }))
    }

    /// What a program prints: a line of shell, or a program with its arguments.
    #[must_use]
    pub fn command(command: impl Into<super::CommandLine>) -> Self {
        let command: super::CommandLine = command.into();
        Self(json!({ "command": Value::from(command) }))
    }

    /// A source per role in whose name the work acts ([`Step::acts_as`](super::Step::acts_as)).
    #[must_use]
    pub fn of<R: Into<String>>(roles: impl IntoIterator<Item = (R, Self)>) -> Self {
        let roles: serde_json::Map<String, Value> =
            roles.into_iter().map(|(role, source)| (role.into(), source.0)).collect();
        Self(json!({ "of": roles }))
    }

    /// The source for roles that have none, for work without a role, and where the variable of a role is not set.
    #[must_use]
    pub fn or(mut self, source: Self) -> Self {
        if let Value::Object(keys) = &mut self.0 {
            keys.insert("else".to_owned(), source.0);
        }
        self
    }

    /// What the request brings that starts the run, by this name.
    #[must_use]
    pub fn credential(name: impl Into<String>) -> Self {
        Self(json!({ "credential": name.into() }))
    }
}

impl From<Secret> for Value {
    fn from(secret: Secret) -> Self {
        secret.0
    }
}

//! What a run may take and use: its identity, slots, budgets, settings, secrets.

use serde::{Deserialize, Serialize};

use super::gate::Gate;
use super::setting::{Setting, Span};
use crate::expr::{Expr, Template};
use crate::words::{OnLimit, OnOver, OnTaken, Period, Release};
use everfold_base::json::Value;

/// One part of a settings document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSource {
    /// A YAML or JSON file; a missing one is skipped.
    File(Template),
    /// Written in the pipeline.
    Values(Value),
}

/// The run's identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunKey {
    /// Rendered at start; null is no key, an empty text refuses the start.
    pub value: Template,
    /// When it is free again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub release: Release,
    /// What a start does that finds it taken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_taken: OnTaken,
}

/// What is judged before a run begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Admit {
    /// In order; the first failure decides.
    pub gates: Vec<Gate>,
    /// What a failure means at the start; on leaving a queue the run always fails.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_refused: OnRefused,
}

impl Admit {
    /// Whether nothing is judged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gates.is_empty()
    }
}

/// What a failed admission means at the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRefused {
    /// Nothing is stored.
    #[default]
    Refuse,
    /// A failed run is recorded.
    Fail,
}

/// A slot that a run holds from its admission to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    /// Of which key; rendered at start.
    pub key: Template,
    /// How many runs hold one at once.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub limit: Setting<u32>,
    /// What a start does that finds none free.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_limit: OnLimit,
    /// Whether it is needed at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
}

/// What a run, or all runs of a scope, may use up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Its name.
    pub id: String,
    /// Whose use is counted together; `None`: this run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Template>,
    /// Over which time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub per: Period,
    /// The time zone in which periods begin; `None`: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Setting<Money>>,
    /// Tokens, read and written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Setting<u64>>,
    /// Time, pauses left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall: Option<Setting<Span>>,
    /// Kept free for each piece of paid work that starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<Setting<Money>>,
    /// What follows when it is used up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_over: OnOver,
}

/// Money in millionths of a US dollar. In the document `"5.00 USD"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub u64);

impl Money {
    /// Reads `5`, `5.00`, `5.00 USD` or `$5`; at most six decimal places.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_suffix("USD").map_or(text, str::trim_end);
        let text = text.strip_prefix('$').unwrap_or(text);
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(part) || part.len() > 6 {
            return None;
        }
        let micros: u64 = format!("{part:0<6}").parse().ok()?;
        whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros).map(Self)
    }
}

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = format!("{:06}", self.0 % 1_000_000);
        let short = part.trim_end_matches('0');
        write!(f, "{}.{short:0<2} USD", self.0 / 1_000_000)
    }
}

impl Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("“{text}” is no amount of money")))
    }
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// A variable of the engine's environment.
    Env(String),
    /// A file.
    File(String),
    /// What a program prints.
    Command(Vec<String>),
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> Setting<u32> {
    Setting::Fixed(1)
}

fn is_one(setting: &Setting<u32>) -> bool {
    *setting == one()
}

#[cfg(test)]
mod tests {
    use super::Money;

    #[test]
    fn money_is_read_exactly_and_written_as_people_write_it() {
        for (text, micros, shown) in [
            ("5", 5_000_000, "5.00 USD"),
            ("0.1", 100_000, "0.10 USD"),
            ("$1.234567", 1_234_567, "1.234567 USD"),
            ("12.50 USD", 12_500_000, "12.50 USD"),
        ] {
            let money = Money::parse(text).unwrap();
            assert_eq!((money.0, money.to_string().as_str()), (micros, shown));
        }
        for text in ["", "-1", "1.2345678", "1e3", "5 EUR", ".5"] {
            assert_eq!(Money::parse(text), None, "{text}");
        }
    }
}

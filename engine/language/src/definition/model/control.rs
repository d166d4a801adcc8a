//! What a run may take and use: its identity, slots, budgets, settings, secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gate::Gate;
use super::reminders::Reminders;
use super::setting::{Setting, Span};
use crate::expr::{Expr, Template};
use crate::words::{OnLimit, OnOver, OnTaken, Period, Release};
use everfold_base::json::Value;

/// The name under which settings list the records of documents that were left out.
pub const SKIPPED: &str = "skipped";

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

/// The count that numbers the pipeline's runs from 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbering {
    /// Runs of one key are counted together, in the whole store; rendered at start. `None`: the pipeline's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Template>,
}

/// What is judged before a run begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Admit {
    /// In order; the first failure decides.
    pub gates: Vec<Gate>,
    /// What a failure means at the start; on leaving a queue the run always fails.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_refused: OnRefused,
    /// Secrets of the pipeline that the commands of its gates get as variables, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
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
    /// A copy of the run begins with what the run had used up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub carry: bool,
    /// When people are reminded while it holds the run; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind: Option<Reminders<Span>>,
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

/// What other currencies are worth: US dollars, in millionths, for one unit of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates(BTreeMap<String, u64>);

impl Rates {
    /// A table by the codes of the currencies, `EUR`.
    #[must_use]
    pub fn new(rates: BTreeMap<String, u64>) -> Self {
        Self(rates)
    }

    /// Whether a text may be the code of a currency that needs a rate: three capital letters, and not `USD`.
    #[must_use]
    pub fn is_code(text: &str) -> bool {
        text.len() == 3 && text != "USD" && text.bytes().all(|byte| byte.is_ascii_uppercase())
    }

    /// The codes that have a rate.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What so many millionths of a unit are worth, in millionths of a US dollar; `None`: the currency has no rate.
    #[must_use]
    pub fn in_dollars(&self, micros: u64, code: &str) -> Option<u64> {
        let worth = u128::from(micros) * u128::from(*self.0.get(code)?) / 1_000_000;
        Some(u64::try_from(worth).unwrap_or(u64::MAX))
    }

    /// Reads an amount in US dollars as [`Money::parse`] does, or `5.00 EUR` by the rate of that currency; with the
    /// currency, where it is another one.
    ///
    /// # Errors
    /// [`BadAmount`]
    pub fn parse<'a>(&self, text: &'a str) -> Result<(Money, Option<&'a str>), BadAmount> {
        if let Some(money) = Money::parse(text) {
            return Ok((money, None));
        }
        let none = || BadAmount::NoAmount(text.to_owned());
        let (amount, code) = text.trim().rsplit_once(' ').ok_or_else(none)?;
        let is_plain = amount.trim().bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let amount = Money::parse(amount).filter(|_| is_plain && Self::is_code(code)).ok_or_else(none)?;
        let no_rate = || BadAmount::NoRate(code.to_owned());
        Ok((Money(self.in_dollars(amount.0, code).ok_or_else(no_rate)?), Some(code)))
    }
}

/// A text that is no amount of money that can be counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    /// It is no amount.
    #[error("“{0}” is no amount of money")]
    NoAmount(String),
    /// It is one in a currency that has no rate.
    #[error("the currency {0} has no rate")]
    NoRate(String),
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
    /// A value that the request brings which starts the run, by this name.
    Credential(String),
    /// One source of several, by the role in whose name the work acts.
    Of(RoleSources),
}

/// The sources of a secret by role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSources {
    /// One per role.
    pub roles: BTreeMap<String, SecretSource>,
    /// For a role that has none, for work without a role, and where the variable of a role is not set.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "else")]
    pub otherwise: Option<Box<SecretSource>>,
}

impl SecretSource {
    /// The sources that a value may come from: this one, or those of all roles and the one for the rest.
    #[must_use]
    pub fn places(&self) -> Vec<&Self> {
        match self {
            Self::Of(sources) => {
                let all = sources.roles.values().chain(sources.otherwise.as_deref());
                all.flat_map(Self::places).collect()
            }
            Self::Env(_) | Self::File(_) | Self::Command(_) | Self::Credential(_) => vec![self],
        }
    }
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
        let rates = super::Rates::new([("EUR".to_owned(), 1_080_000)].into());
        assert_eq!(rates.parse("5.00 EUR"), Ok((Money(5_400_000), Some("EUR"))));
        assert_eq!(rates.parse("$5"), Ok((Money(5_000_000), None)));
        assert_eq!(rates.parse("5 CHF"), Err(super::BadAmount::NoRate("CHF".into())));
        for text in ["5 eur", "5EUR", "EUR", "-1 EUR", "5 USD EUR", ""] {
            assert_eq!(rates.parse(text), Err(super::BadAmount::NoAmount(text.into())), "{text}");
        }
        for text in ["", "-1", "1.2345678", "1e3", "5 EUR", ".5"] {
            assert_eq!(Money::parse(text), None, "{text}");
        }
    }
}

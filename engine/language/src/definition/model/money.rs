//! Amounts of money, and what other currencies are worth.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

#[cfg(test)]
mod tests {
    use super::{BadAmount, Money, Rates};

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
        let rates = Rates::new([("EUR".to_owned(), 1_080_000)].into());
        assert_eq!(rates.parse("5.00 EUR"), Ok((Money(5_400_000), Some("EUR"))));
        assert_eq!(rates.parse("$5"), Ok((Money(5_000_000), None)));
        assert_eq!(rates.parse("5 CHF"), Err(BadAmount::NoRate("CHF".into())));
        for text in ["5 eur", "5EUR", "EUR", "-1 EUR", "5 USD EUR", ""] {
            assert_eq!(rates.parse(text), Err(BadAmount::NoAmount(text.into())), "{text}");
        }
        for text in ["", "-1", "1.2345678", "1e3", "5 EUR", ".5"] {
            assert_eq!(Money::parse(text), None, "{text}");
        }
    }
}

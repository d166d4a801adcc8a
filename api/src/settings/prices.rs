//! What tokens cost.

use std::collections::BTreeMap;

use everfold_engine::definition::Rates;
use everfold_engine::prices::{Price, Prices};
use serde::Deserialize;

/// The largest price of a million tokens that settings may name.
const DOLLARS_MAX: f64 = 1_000_000.0;

/// The prices of a model, in US dollars per million tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceSettings {
    /// Tokens read.
    #[serde(rename = "in")]
    pub input: f64,
    /// Tokens written.
    pub out: f64,
    /// Tokens read from a cache; without it they cost what others do.
    #[serde(default)]
    pub cached: Option<f64>,
    /// The currency of the three, one of `[rates]`; without it US dollars.
    #[serde(default)]
    pub currency: Option<String>,
}

/// The largest and the smallest worth of a unit of a currency in US dollars.
const RATE: std::ops::RangeInclusive<f64> = 0.000_001..=1_000_000.0;

/// What other currencies are worth, checked.
pub(super) fn rates(settings: &BTreeMap<String, f64>) -> Result<Rates, String> {
    let mut rates = BTreeMap::new();
    for (code, dollars) in settings {
        if !Rates::is_code(code) {
            return Err(format!(
                "rates.{code}: a currency has three capital letters, as EUR; US dollars need no rate"
            ));
        }
        if !RATE.contains(dollars) {
            return Err(format!("rates.{code}: {dollars} is no worth of one {code} in US dollars"));
        }
        rates.insert(code.clone(), everfold_workflows::process::cost_micros(*dollars));
    }
    Ok(Rates::new(rates))
}

/// The table, checked.
pub(super) fn table(settings: &BTreeMap<String, PriceSettings>, rates: &Rates) -> Result<Prices, String> {
    let mut prices = BTreeMap::new();
    for (name, price) in settings {
        let names_a_model = name.split_once(':').is_some_and(|(provider, model)| {
            !provider.is_empty() && !model.is_empty() && !model.ends_with("**")
        });
        if !names_a_model {
            return Err(format!("prices.{name}: write PROVIDER:MODEL, where the model may end in one *"));
        }
        let currency = price.currency.as_deref().filter(|code| *code != "USD");
        let micros = |what: &str, amount: f64| {
            if !amount.is_finite() || !(0.0..=DOLLARS_MAX).contains(&amount) {
                let of = currency.unwrap_or("US dollars");
                return Err(format!(
                    "prices.{name}: {what}: {amount} is no price in {of} per million tokens"
                ));
            }
            let micros = everfold_workflows::process::cost_micros(amount);
            match currency {
                None => Ok(micros),
                Some(code) => rates
                    .in_dollars(micros, code)
                    .ok_or_else(|| format!("prices.{name}: currency: {code} has no rate; add it to [rates]")),
            }
        };
        let price = Price {
            input_micros: micros("in", price.input)?,
            output_micros: micros("out", price.out)?,
            cached_micros: micros("cached", price.cached.unwrap_or(price.input))?,
        };
        prices.insert(name.clone(), price);
    }
    Ok(Prices::new(prices))
}

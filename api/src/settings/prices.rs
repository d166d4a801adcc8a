//! What tokens cost.

use std::collections::BTreeMap;

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
}

/// The table, checked.
pub(super) fn table(settings: &BTreeMap<String, PriceSettings>) -> Result<Prices, String> {
    let mut prices = BTreeMap::new();
    for (name, price) in settings {
        let names_a_model = name
            .split_once(':')
            .is_some_and(|(provider, model)| !provider.is_empty() && !model.trim_end_matches('*').is_empty());
        if !names_a_model {
            return Err(format!("prices.{name}: write PROVIDER:MODEL, where the model may end in *"));
        }
        let micros =
            |what: &str, dollars: f64| match dollars.is_finite() && (0.0..=DOLLARS_MAX).contains(&dollars) {
                true => Ok(everfold_workflows::process::cost_micros(dollars)),
                false => Err(format!(
                    "prices.{name}: {what}: {dollars} is no price in US dollars per million tokens"
                )),
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

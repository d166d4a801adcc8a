//! What tokens cost where the executor that used them does not say.
//!
//! Law: pure, and asked before a use is recorded: histories keep what it cost by the prices of that day.
//!
//! Called by the runtime; the settings hold the table.

use std::collections::BTreeMap;

use crate::artefact::Usage;

/// Tokens that a price is for.
const PER_TOKENS: u128 = 1_000_000;

/// The prices of one model, in millionths of a US dollar per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Tokens read.
    pub input_micros: u64,
    /// Tokens written.
    pub output_micros: u64,
    /// Tokens read from a cache.
    pub cached_micros: u64,
}

/// Prices by `PROVIDER:MODEL`, where the model may end in `*`, or be that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices(BTreeMap<String, Price>);

/// What is known of the cost of a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priced {
    /// It says so itself, or used nothing.
    Known,
    /// By the table.
    Estimated,
    /// Neither by itself nor by the table: it counts nothing.
    Unknown,
}

impl Prices {
    /// A table.
    #[must_use]
    pub fn new(prices: BTreeMap<String, Price>) -> Self {
        Self(prices)
    }

    /// Says what a use cost, where it does not.
    pub fn fill(&self, usage: &mut Usage) -> Priced {
        let tokens = usage.input_tokens | usage.cached_tokens | usage.output_tokens;
        if usage.cost_micros > 0 || tokens == 0 {
            return Priced::Known;
        }
        match self.of(usage.model.as_deref().unwrap_or_default()) {
            Some(price) => {
                usage.cost_micros = price.of(usage);
                Priced::Estimated
            }
            None => Priced::Unknown,
        }
    }

    /// The price of a model: that of its own name before one that ends in `*`, the longest first. Where several
    /// providers have it, the dearest: too much is seen sooner than too little.
    fn of(&self, model: &str) -> Option<Price> {
        let fit = |(key, price): (&String, &Price)| {
            let name = key.split_once(':').map_or(key.as_str(), |(_, model)| model);
            let exact = key == model || name == model;
            let begins = [key.as_str(), name].into_iter().filter_map(|name| name.strip_suffix('*'));
            let longest = begins.filter(|start| model.starts_with(start)).map(str::len).max();
            let weight = if exact { usize::MAX } else { longest? };
            Some((weight, price.output_micros, *price))
        };
        let best = self.0.iter().filter_map(fit).max_by_key(|(weight, output, _)| (*weight, *output));
        best.map(|(.., price)| price)
    }
}

impl Price {
    fn of(self, usage: &Usage) -> u64 {
        let parts = [
            (usage.input_tokens, self.input_micros),
            (usage.output_tokens, self.output_micros),
            (usage.cached_tokens, self.cached_micros),
        ];
        let sum: u128 = parts.into_iter().map(|(tokens, price)| u128::from(tokens) * u128::from(price)).sum();
        // Rounded up: what was used is never free.
        u64::try_from(sum.div_ceil(PER_TOKENS)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(output_micros: u64) -> Price {
        Price { input_micros: 3_000_000, output_micros, cached_micros: 300_000 }
    }

    fn table() -> Prices {
        let keys = [("a:m-1", 15), ("a:m-*", 10), ("a:m-1-2*", 20), ("b:other", 5), ("c:other", 7)];
        Prices::new(keys.map(|(key, dollars)| (key.to_owned(), price(dollars * 1_000_000))).into())
    }

    fn used(model: &str, input: u64, cached: u64, output: u64) -> Usage {
        let model = Some(model.to_owned()).filter(|model| !model.is_empty());
        Usage { model, input_tokens: input, cached_tokens: cached, output_tokens: output, ..Usage::default() }
    }

    #[test]
    fn row_15_the_nearest_name_gives_the_price_and_the_dearest_of_several() {
        for (model, dollars) in
            [("m-1", 15), ("a:m-1", 15), ("m-7", 10), ("m-1-2026", 20), ("other", 7), ("b:other", 5)]
        {
            let mut usage = used(model, 0, 0, 1_000_000);
            assert_eq!(table().fill(&mut usage), Priced::Estimated, "{model}");
            assert_eq!(usage.cost_micros, dollars * 1_000_000, "{model}");
        }
        for model in ["n-1", ""] {
            let mut usage = used(model, 5_000_000, 0, 0);
            assert_eq!((table().fill(&mut usage), usage.cost_micros), (Priced::Unknown, 0), "{model}");
        }
    }

    #[test]
    fn row_15_every_kind_of_token_counts_and_what_is_said_stays() {
        let mut usage = used("m-1", 1_000_000, 2_000_000, 100_000);
        table().fill(&mut usage);
        assert_eq!(usage.cost_micros, 3_000_000 + 600_000 + 1_500_000);
        let mut one = used("m-1", 0, 1, 0);
        table().fill(&mut one);
        assert_eq!(one.cost_micros, 1, "never nothing");
        let mut said = Usage { cost_micros: 7, ..used("m-1", 5, 5, 5) };
        assert_eq!((table().fill(&mut said), said.cost_micros), (Priced::Known, 7));
        assert_eq!(table().fill(&mut used("n", 0, 0, 0)), Priced::Known);
        let mut huge = used("m-1", u64::MAX, u64::MAX, u64::MAX);
        table().fill(&mut huge);
        assert_eq!(huge.cost_micros, u64::MAX);
    }
}

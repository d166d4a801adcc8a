//! What processes use up: tokens and money.

use everfold_ports::Usage;

/// Tokens that one report may tell of; a larger number is a mistake, and would never go out of a sum again.
const TOKENS_MAX: u64 = 1_000_000_000_000;
/// US dollars that one report may tell of.
const DOLLARS_MAX: f64 = 1_000_000.0;

/// A number of tokens, where it may be one.
pub(crate) fn sane_tokens(tokens: u64) -> Option<u64> {
    (tokens <= TOKENS_MAX).then_some(tokens)
}

/// An amount of US dollars, where it may be one.
pub(crate) fn sane_dollars(dollars: f64) -> Option<f64> {
    (0.0..=DOLLARS_MAX).contains(&dollars).then_some(dollars)
}

/// What a report says, without the numbers that cannot be.
pub(crate) fn sane(mut usage: Usage) -> Usage {
    let said = usage.clone();
    for tokens in [&mut usage.input_tokens, &mut usage.cached_tokens, &mut usage.output_tokens] {
        *tokens = sane_tokens(*tokens).unwrap_or(0);
    }
    if usage.cost_micros > cost_micros(DOLLARS_MAX) {
        usage.cost_micros = 0;
    }
    if usage != said {
        tracing::warn!(?said, "numbers of a usage are out of range and not counted");
    }
    usage
}

/// What all turns used up, by model.
pub(crate) fn sum(usage: impl IntoIterator<Item = Usage>) -> Vec<Usage> {
    let mut sums: Vec<Usage> = Vec::new();
    for one in usage {
        match sums.iter_mut().find(|sum| sum.model == one.model) {
            None => sums.push(one),
            Some(sum) => {
                sum.input_tokens = sum.input_tokens.saturating_add(one.input_tokens);
                sum.cached_tokens = sum.cached_tokens.saturating_add(one.cached_tokens);
                sum.output_tokens = sum.output_tokens.saturating_add(one.output_tokens);
                sum.cost_micros = sum.cost_micros.saturating_add(one.cost_micros);
                sum.session = one.session.or(sum.session.take());
            }
        }
    }
    sums
}

/// US dollars in millionths, rounded.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn cost_micros(dollars: f64) -> u64 {
    (dollars.max(0.0) * 1e6).round() as u64 // Saturates; no cost is that high.
}

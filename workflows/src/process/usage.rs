//! What processes use up: tokens and money.

use everfold_ports::Usage;

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

//! Money in answers: US dollars as a decimal text. Within the engine it is a whole number of millionths.

/// `1.250000` of 1,250,000 millionths: a text that loses nothing, and that compares as it is.
#[must_use]
pub fn usd(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::usd;

    #[test]
    fn money_has_six_digits_behind_the_point() {
        let written = [0, 5, 250_000, 1_250_000, u64::MAX].map(usd);
        assert_eq!(written, ["0.000000", "0.000005", "0.250000", "1.250000", "18446744073709.551615"]);
    }
}

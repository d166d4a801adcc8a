//! Money in answers: US dollars as a decimal text. In stored rows the plain number of millionths.

use serde::{Deserialize as _, Deserializer, Serializer};

/// `1.25` of 1,250,000 millionths.
#[must_use]
pub fn dollars(micros: u64) -> String {
    let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
    let text = format!("{part:06}");
    let part = text.trim_end_matches('0');
    format!("{whole}.{part:0<2}")
}

pub(crate) fn serialize<S: Serializer>(micros: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.serialize_str(&dollars(*micros))
    } else {
        serializer.serialize_u64(*micros)
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    u64::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::dollars;

    #[test]
    fn money_has_two_digits_or_as_many_as_it_needs() {
        let told = [0, 5, 250_000, 1_250_000, 3_000_000, 1_000_001].map(dollars);
        assert_eq!(told, ["0.00", "0.000005", "0.25", "1.25", "3.00", "1.000001"]);
    }
}

//! Whole numbers of JSON bodies, however they are written.

use serde::{Deserialize as _, Deserializer, de};

/// A whole number of a JSON body. `5.0` is one, too: there are programs that write every number so.
pub(crate) fn whole<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<T, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    read(&number)
        .ok_or_else(|| de::Error::custom(format!("{number} is no whole number of this field's range")))
}

/// The same where it may be left out.
pub(crate) fn whole_if<'de, D: Deserializer<'de>, T: TryFrom<i128>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    let Some(number) = number else { return Ok(None) };
    let read = read(&number).map(Some);
    read.ok_or_else(|| de::Error::custom(format!("{number} is no whole number of this field's range")))
}

fn read<T: TryFrom<i128>>(number: &serde_json::Number) -> Option<T> {
    let whole = number.as_i128().or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e30)?;
        // Whole, and far within the range: nothing of it is lost.
        Some(float as i128)
    })?;
    T::try_from(whole).ok()
}

//! Spans as people write them: `250ms 30s 5m 2h 7d`.

use std::time::Duration;

/// Reads a span: a whole number and one of `ms s m h d`.
///
/// # Errors
/// [`BadDuration`] for anything else, also for a span over 10 years.
pub fn parse(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration::NoSpan(text.to_owned());
    let too_long = || BadDuration::TooLong(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(digits);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(bad()),
    };
    if number.is_empty() {
        return Err(bad());
    }
    // Digits alone that are no number are too many.
    let number: u64 = number.parse().map_err(|_| too_long())?;
    let millis = number.checked_mul(unit_ms).filter(|ms| *ms <= MAX_MS).ok_or_else(too_long)?;
    Ok(Duration::from_millis(millis))
}

const MAX_MS: u64 = 3_650 * 86_400_000;

/// Writes a span in its largest whole unit, so that [`parse`] reads the same span back.
#[must_use]
pub fn format(span: Duration) -> String {
    let millis = span.as_millis();
    for (unit_ms, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if millis >= unit_ms && millis.is_multiple_of(unit_ms) {
            return format!("{}{unit}", millis / unit_ms);
        }
    }
    format!("{millis}ms")
}

/// A text that is no span of at most ten years.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDuration {
    /// It is written in another way.
    #[error("“{0}” is not a duration; write a whole number and a unit: 250ms, 30s, 5m, 2h or 7d")]
    NoSpan(String),
    /// It is longer than ten years.
    #[error("“{0}” is longer than a duration may be; write at most 3650d")]
    TooLong(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_as_written() {
        for text in ["250ms", "30s", "5m", "2h", "7d", "90s", "0ms"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(format(parse("60s").unwrap()), "1m");
        for text in ["", "5", "s", "1.5h", "-1s", "5 m", "99999999d", "99999999999999999999s"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(format(parse("3650d").unwrap()), "3650d");
        for text in ["4000d", "3651d", "99999999999999999999s"] {
            assert_eq!(parse(text), Err(BadDuration::TooLong(text.to_owned())));
        }
    }
}

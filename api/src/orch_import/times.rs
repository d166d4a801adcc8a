//! Moments as ORCH writes them.
//!
//! Law: a text without a zone is UTC, as SQLite's `datetime('now')` gives it.

use everfold_engine::time::Timestamp;
use rusqlite::types::ValueRef;

/// The moments that are taken for times: the years 2000 to 2999.
const PLAUSIBLE: std::ops::Range<i64> = 946_684_800_000..32_503_680_000_000;

/// The moment of a column; `None` where it holds none.
pub(super) fn moment(value: ValueRef<'_>) -> Option<Timestamp> {
    let millis = match value {
        ValueRef::Text(text) => written(std::str::from_utf8(text).ok()?.trim())?,
        // Seconds since 1970, or milliseconds.
        ValueRef::Integer(number) => scaled(number as f64),
        ValueRef::Real(number) => scaled(number),
        ValueRef::Null | ValueRef::Blob(_) => return None,
    };
    PLAUSIBLE.contains(&millis).then_some(Timestamp(millis))
}

fn scaled(number: f64) -> i64 {
    if number.abs() < 1e11 { (number * 1e3) as i64 } else { number as i64 }
}

fn written(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Some(scaled(seconds));
    }
    let local: jiff::civil::DateTime = text.parse().ok()?;
    Some(local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_in_each_form_that_python_and_sqlite_write() {
        let at = Some(Timestamp(1_767_603_600_000));
        for text in [
            "2026-01-05 09:00:00",
            "2026-01-05T09:00:00",
            "2026-01-05T09:00:00Z",
            "2026-01-05T10:00:00+01:00",
            "2026-01-05 09:00:00.000000",
            "1767603600",
            "1767603600.0",
        ] {
            assert_eq!(moment(ValueRef::Text(text.as_bytes())), at, "{text}");
        }
        assert_eq!(moment(ValueRef::Integer(1_767_603_600)), at);
        assert_eq!(moment(ValueRef::Integer(1_767_603_600_000)), at);
        assert_eq!(moment(ValueRef::Real(1_767_603_600.0)), at);
        for none in [ValueRef::Null, ValueRef::Text(b"soon"), ValueRef::Integer(3), ValueRef::Text(b"")] {
            assert_eq!(moment(none), None);
        }
    }
}

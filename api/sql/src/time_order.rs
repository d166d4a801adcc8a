//! The order of times in columns: that of the moments, however what they are compared with is written.
//!
//! A time may be written in any form of RFC 3339, as SQLite's own functions write it (`2026-11-20 09:00:00`, of UTC), or
//! as the beginning of one, which stands for its first moment. Whatever else is in the place of a time keeps the order of
//! texts.

use std::borrow::Cow;
use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rusqlite::{Connection, Result};

/// The name of the order, for SQLite.
pub(crate) const TIME_ORDER: &str = "TIME_ORDER";

/// How times are written, by kind of character: `9` is a digit.
const TIME_FORM: &str = "9999-99-99T99:99:99.999Z";

/// What completes the beginning of a time to its first moment.
const FIRST_MOMENT: &str = "0000-01-01T00:00:00.000Z";

/// A longer text is no time: SQLite cannot be stopped while texts are compared.
const TIME_BYTES_MAX: usize = 64;

pub(crate) fn register(connection: &Connection) -> Result<()> {
    connection.create_collation(TIME_ORDER, compare)
}

fn compare(one: &str, other: &str) -> Ordering {
    let as_compared = |text| canonical(text).unwrap_or(Cow::Borrowed(text));
    as_compared(one).cmp(&as_compared(other))
}

/// A time as columns have it, to the millisecond; none: the text is no time.
pub(crate) fn canonical(text: &str) -> Option<Cow<'_, str>> {
    if has_form(text) && text.len() == TIME_FORM.len() {
        return Some(Cow::Borrowed(text));
    }
    if text.len() > TIME_BYTES_MAX {
        return None;
    }
    let completed;
    let text = match text.len() {
        4 | 7 | 10 | 13 if has_form(text) => {
            completed = format!("{text}{}", &FIRST_MOMENT[text.len()..]);
            &completed
        }
        _others => text,
    };
    let moment = text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(local).ok()
    })?;
    Some(Cow::Owned(format!("{moment:.3}")))
}

/// Whether a text is a time as columns have it, or begins like one.
fn has_form(text: &str) -> bool {
    text.len() <= TIME_FORM.len()
        && text.bytes().zip(TIME_FORM.bytes()).all(|(byte, form)| match form {
            b'9' => byte.is_ascii_digit(),
            sign => byte == sign,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_every_form_that_people_and_sqlite_write() {
        for (text, expected) in [
            ("2026-11-20T09:00:00.123Z", "2026-11-20T09:00:00.123Z"),
            ("2026", "2026-01-01T00:00:00.000Z"),
            ("2026-11", "2026-11-01T00:00:00.000Z"),
            ("2026-11-20", "2026-11-20T00:00:00.000Z"),
            ("2026-11-20T09", "2026-11-20T09:00:00.000Z"),
            ("2026-11-20T09:07", "2026-11-20T09:07:00.000Z"),
            ("2026-11-20 09:07", "2026-11-20T09:07:00.000Z"),
            ("2026-11-20 09:07:05", "2026-11-20T09:07:05.000Z"),
            ("2026-11-20 09:07:05.5", "2026-11-20T09:07:05.500Z"),
            ("2026-11-20T09:07:05Z", "2026-11-20T09:07:05.000Z"),
            ("2026-11-20t09:07:05z", "2026-11-20T09:07:05.000Z"),
            ("2026-11-20T09:07:05.1239Z", "2026-11-20T09:07:05.123Z"),
            ("2026-11-20T00:30:00+01:00", "2026-11-19T23:30:00.000Z"),
            ("2026-11-20 00:30:00-05:30", "2026-11-20T06:00:00.000Z"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["", "20", "yesterday", "2026-1", "2026-13-40", "2026-13-40T09:00", "2026-11-20T09:00:00+99:00"]
        {
            assert_eq!(canonical(text), None, "{text}");
        }
        assert_eq!(canonical(&"2026-11-20T09:00:00.0".repeat(10)), None);
    }

    #[test]
    fn times_are_compared_by_their_moments_and_other_texts_as_texts() {
        let ordered = [
            "",
            "2026-11-20T00:30:00+01:00",
            "2026-11-20",
            "2026-11-20 09:00:00",
            "2026-11-20T10:01:00+01:00",
            "a",
        ];
        for (place, one) in ordered.iter().enumerate() {
            for (other_place, other) in ordered.iter().enumerate() {
                assert_eq!(compare(one, other), place.cmp(&other_place), "{one} {other}");
            }
        }
        assert_eq!(compare("2026-11-20T10:00:00+01:00", "2026-11-20T09:00:00.000Z"), Ordering::Equal);
    }
}

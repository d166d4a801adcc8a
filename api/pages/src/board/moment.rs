//! Moments as people type them: `-10m`, `yesterday`, `14:32`, a time of RFC 3339, a position of the log.
//!
//! Law: what leaves here is a time of RFC 3339 or a position, which every route takes.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

/// A moment of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WrittenMoment {
    /// Now, and what comes after it.
    Now,
    /// The last event that counts.
    Position(u64),
    /// What was durable by then.
    Time(Timestamp),
}

impl WrittenMoment {
    /// What a text means now, in a zone.
    ///
    /// # Errors
    /// What the text should be, for its reader.
    pub(crate) fn read(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Self, String> {
        let text = text.trim().to_lowercase();
        if text.is_empty() || text == "now" {
            return Ok(Self::Now);
        }
        if let Ok(position) = text.parse::<u64>() {
            return Ok(Self::Position(position));
        }
        let time = ago(&text, now)
            .or_else(|| text.to_uppercase().parse().ok())
            .or_else(|| civil(&text, now, zone))
            .ok_or_else(|| {
                format!("“{text}” is no moment: write -10m, 2h ago, yesterday 14:32, 2026-11-20 09:00, a time of RFC 3339, or a position")
            })?;
        Ok(if time >= now { Self::Now } else { Self::Time(time) })
    }

    /// As routes take it; nothing for now.
    pub(crate) fn canonical(&self) -> Option<String> {
        match self {
            Self::Now => None,
            Self::Position(position) => Some(position.to_string()),
            Self::Time(time) => Some(shortest(*time)),
        }
    }
}

/// A time of RFC 3339 in UTC, without a fraction where it has none.
pub(crate) fn shortest(time: Timestamp) -> String {
    let millis = time.as_millisecond();
    let format = if millis % 1000 == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.3fZ" };
    time.strftime(format).to_string()
}

/// The zone of a name, UTC where nobody knows it.
pub(crate) fn zone(name: Option<&str>) -> TimeZone {
    name.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
}

/// `-1h30m`, `10m`, `2 d ago`: so long before now.
fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.strip_suffix("ago").unwrap_or(text);
    let text: String = text.strip_prefix('-').unwrap_or(text).split_whitespace().collect();
    let mut rest = text.as_str();
    let mut seconds = 0_i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        let after = rest.get(digits..)?;
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let size = match after.get(..unit)? {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _other => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(size)?)?;
        rest = after.get(unit..)?;
    }
    now.checked_sub(jiff::SignedDuration::from_secs(seconds)).ok()
}

/// A day, a time of a day, or both, in a zone. A time alone is of today, or of yesterday where today's is to come.
fn civil(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let today = zone.to_datetime(now).date();
    let (first, second) =
        text.split_once([' ', 't']).filter(|(first, _)| first.len() > 2).unwrap_or((text, ""));
    if let Some(time) = time_of_day(text) {
        let at = instant(today, time, zone)?;
        return if at > now { instant(today.yesterday().ok()?, time, zone) } else { Some(at) };
    }
    // “yesterday” holds a t, so that it must be looked for before a day is cut off by one.
    let (first, second) = match text.split_once(' ') {
        Some(parts) => parts,
        None if day(text, today).is_some() => (text, ""),
        None => (first, second),
    };
    let time = if second.is_empty() { Time::midnight() } else { time_of_day(second.trim())? };
    instant(day(first, today)?, time, zone)
}

fn instant(date: Date, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_timestamp(date.to_datetime(time)).ok()
}

fn time_of_day(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let hour: i8 = parts.next()?.parse().ok()?;
    let minute: i8 = parts.next()?.parse().ok()?;
    let second: i8 = parts.next().map_or(Some(0), |second| second.parse().ok())?;
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, 0).ok()
}

/// `today`, `yesterday`, a day of the week (the last one before today), `2026-11-20`.
fn day(text: &str, today: Date) -> Option<Date> {
    let before = |days: Span| today.checked_sub(days).ok();
    match text {
        "today" => Some(today),
        "yesterday" => before(1.day()),
        _other => weekday(text).and_then(|day| today.nth_weekday(-1, day).ok()).or_else(|| text.parse().ok()),
    }
}

fn weekday(text: &str) -> Option<Weekday> {
    let all = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let at = all.iter().position(|name| *name == text || (text.len() == 3 && name.starts_with(text)))?;
    Weekday::from_monday_zero_offset(i8::try_from(at).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        // A Sunday.
        let now = "2026-11-22T15:00:00Z".parse().expect("a time");
        WrittenMoment::read(text, now, &TimeZone::UTC).expect(text).canonical()
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        let cases = [
            ("-10m", "2026-11-22T14:50:00Z"),
            ("1h30m", "2026-11-22T13:30:00Z"),
            ("2 days ago", "2026-11-20T15:00:00Z"),
            ("yesterday", "2026-11-21T00:00:00Z"),
            ("Yesterday 09:15", "2026-11-21T09:15:00Z"),
            ("14:32", "2026-11-22T14:32:00Z"),
            ("16:00:05", "2026-11-21T16:00:05Z"),
            ("monday", "2026-11-16T00:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2026-11-20 09:00", "2026-11-20T09:00:00Z"),
            ("2026-11-20T09:00:00.250Z", "2026-11-20T09:00:00.250Z"),
            ("2026-11-20T09:00:00+01:00", "2026-11-20T08:00:00Z"),
            ("4711", "4711"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_to_come_is_now() {
        assert_eq!([read(""), read("now"), read("2030-01-01")], [None, None, None]);
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        let now = Timestamp::now();
        for text in ["soon", "-", "25:00", "1x", "99999999999999999999w", "-10m<script>"] {
            let read = WrittenMoment::read(text, now, &TimeZone::UTC);
            assert!(read.is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_of_a_day_is_of_the_viewers_zone() {
        let now = "2026-11-22T15:00:00Z".parse().expect("a time");
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let read = WrittenMoment::read("14:32", now, &zone).expect("a moment");
        assert_eq!(read.canonical().as_deref(), Some("2026-11-22T13:32:00Z"));
    }
}

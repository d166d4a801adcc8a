//! Instants, as the core sees them: numbers that come in with an input.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Gives the time; a simulation hands in a virtual clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Gives random bits; a simulation draws them from a seed.
pub type Chance = Arc<dyn Fn() -> u128 + Send + Sync>;

/// An instant in milliseconds since 1970-01-01 UTC. In JSON and on screens RFC 3339, UTC, with
/// milliseconds (`2026-11-20T08:15:24.123Z`); beyond the years -9999 to 9999, which a wrong clock may show, the
/// milliseconds (`300000000000000ms`).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The number of milliseconds since the epoch.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant plus a span; saturates at the end of time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The span since an earlier instant; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Timestamp {
    /// Whether a text that is no [`Timestamp`] names a day that is one of the calendar, but too far away for an instant.
    #[must_use]
    pub fn is_too_far(text: &str) -> bool {
        let day = text.get(..10).and_then(|day| day.parse::<jiff::civil::Date>().ok());
        day.is_some_and(|day| day >= jiff::Timestamp::MAX.to_zoned(jiff::tz::TimeZone::UTC).date())
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Beyond the years of the calendar, as such an instant is shown.
        if let Some(Ok(ms)) = text.strip_suffix("ms").map(str::parse) {
            return Ok(Self(ms));
        }
        text.parse::<jiff::Timestamp>().map(|instant| Self(instant.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_behind_the_last_instant_is_too_far_and_no_nonsense() {
        for (text, is_too_far) in [
            ("9999-12-31", true),
            ("9999-12-31T23:59:59Z", true),
            ("9999-12-30T23:00:00Z", true),
            ("9999-12-32", false),
            ("2026-02-30", false),
            ("soon", false),
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
            assert_eq!(Timestamp::is_too_far(text), is_too_far, "{text}");
        }
    }

    #[test]
    fn instants_are_shown_with_milliseconds_and_read_back() {
        let instant = Timestamp(1_790_000_000_120);
        assert_eq!(instant.to_string(), "2026-09-21T14:13:20.120Z");
        assert_eq!(instant.to_string().parse::<Timestamp>().unwrap(), instant);
        for (ms, shown) in [
            (-1, "1969-12-31T23:59:59.999Z"),
            (253_402_207_199_999, "9999-12-30T21:59:59.999Z"),
            (300_000_000_000_000, "300000000000000ms"),
            (i64::MAX, "9223372036854775807ms"),
            (i64::MIN, "-9223372036854775808ms"),
        ] {
            let shown_as = Timestamp(ms).to_string();
            assert_eq!(shown_as, shown);
            assert_eq!(shown_as.parse::<Timestamp>().unwrap(), Timestamp(ms), "{shown_as}");
        }
    }
}

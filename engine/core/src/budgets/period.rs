//! When days, weeks and months begin.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, civil::Date};

use everfold_base::time::Timestamp;
use everfold_language::definition::Period;

/// Other names of UTC in the tz database.
const UTC_ALIASES: [&str; 7] =
    ["Etc/UCT", "Etc/UTC", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "Zulu"];

/// The name of a zone as counters have it, however it is spelled: `europe/berlin` is `Europe/Berlin`, `Etc/UTC` is `UTC`.
/// A zone that is not known keeps its name.
#[must_use]
pub fn zone_name(name: &str) -> String {
    let known = TimeZone::get(name).ok();
    match known.as_ref().and_then(TimeZone::iana_name) {
        Some(name) if UTC_ALIASES.contains(&name) => "UTC".to_owned(),
        Some(name) => name.to_owned(),
        None => name.to_owned(),
    }
}

/// The period that a moment lies in, from its first moment to the first of the next one. `None`: it never
/// ends. A zone that is not known counts as UTC: pipelines are checked before.
#[must_use]
pub fn period(at: Timestamp, per: Period, zone: Option<&str>) -> Option<(Timestamp, Timestamp)> {
    let zone = zone.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
    let today = jiff::Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone.clone()).date();
    let (first, next) = match per {
        Period::Total => return None,
        Period::Day => (today, today.tomorrow().ok()?),
        Period::Week => {
            let since = i64::from(today.weekday().since(Weekday::Monday));
            let first = today.checked_sub(since.days()).ok()?;
            (first, first.checked_add(7.days()).ok()?)
        }
        Period::Month => {
            let first = today.first_of_month();
            (first, first.checked_add(1.month()).ok()?)
        }
    };
    Some((begins(first, &zone)?, begins(next, &zone)?))
}

/// The first moment of a day: where the clocks are set forward at midnight, the one after.
fn begins(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    Some(Timestamp(day.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(at: &str, per: Period, zone: Option<&str>) -> (String, String) {
        let (from, until) = period(at.parse().unwrap(), per, zone).unwrap();
        (from.to_string(), until.to_string())
    }

    #[test]
    fn l31_periods_begin_at_midnight_of_their_zone() {
        let at = "2026-03-28T23:30:00Z";
        let pair = |from: &str, until: &str| {
            let full = |text: &str| text.parse::<Timestamp>().unwrap().to_string();
            (full(from), full(until))
        };
        assert_eq!(of(at, Period::Day, None), pair("2026-03-28T00:00:00Z", "2026-03-29T00:00:00Z"));
        // There it is the 29th already, and that day has 23 hours.
        let berlin = Some("Europe/Berlin");
        assert_eq!(of(at, Period::Day, berlin), pair("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"));
        assert_eq!(of(at, Period::Week, None), pair("2026-03-23T00:00:00Z", "2026-03-30T00:00:00Z"));
        assert_eq!(of(at, Period::Month, None), pair("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"));
        let december = "2026-12-31T23:59:59.999Z";
        assert_eq!(of(december, Period::Month, None), pair("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"));
        assert_eq!(period(Timestamp(0), Period::Total, None), None);
    }

    #[test]
    fn a_zone_has_one_name_however_it_is_spelled() {
        for (spelled, name) in [
            ("Europe/Berlin", "Europe/Berlin"),
            ("europe/BERLIN", "Europe/Berlin"),
            ("utc", "UTC"),
            ("Etc/UTC", "UTC"),
            ("zulu", "UTC"),
            ("Mars/Olympus", "Mars/Olympus"),
        ] {
            assert_eq!(zone_name(spelled), name);
        }
    }

    #[test]
    fn l31_the_first_moment_of_a_period_belongs_to_it() {
        let midnight: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let (from, until) = period(midnight, Period::Day, None).unwrap();
        assert_eq!(from, midnight);
        assert_eq!(period(until, Period::Day, None).unwrap().0, until);
    }
}

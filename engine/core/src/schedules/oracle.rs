//! Moments of timetables compared with an oracle that knows neither the cron library nor how the timetable
//! searches: it looks at the wall clock of every minute of a window.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::json;

use everfold_base::time::Timestamp;
use everfold_language::timetable::Timetable;

const MINUTE_MS: i64 = 60_000;
/// Each window begins so long before a change of the clock.
const BEFORE_MS: i64 = 14 * 60 * MINUTE_MS;
const WINDOW_MINUTES: i64 = 28 * 60;
const CASES: usize = 8_000;

/// Zones whose clocks change by an hour, by half an hour, at midnight, not at all, or have left out a day.
const CHANGES: [(&str, &str); 14] = [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("America/Santiago", "2026-04-05T03:00:00Z"),
    ("America/Santiago", "2026-09-06T04:00:00Z"),
    ("Africa/Cairo", "2026-04-23T22:00:00Z"),
    ("Atlantic/Azores", "2026-03-29T01:00:00Z"),
    ("Atlantic/Azores", "2026-10-25T01:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Asia/Kathmandu", "2026-03-29T01:00:00Z"),
    ("UTC", "2026-02-28T23:00:00Z"),
];

/// Draws the same numbers each time (splitmix64, Steele, Lea and Flood 2014).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// A field of a pattern: its text, what it lists, and whether it means all values or steps over all.
    fn field(&mut self, size: u64) -> (String, Vec<u64>, bool) {
        match self.below(6) {
            0 => ("*".to_owned(), (0..size).collect(), true),
            1 => {
                let step = 2 + self.below(size / 3);
                (format!("*/{step}"), (0..size).step_by(usize::try_from(step).unwrap()).collect(), true)
            }
            2 => {
                let from = self.below(size - 1);
                let until = from + 1 + self.below((size - from - 1).min(5));
                (format!("{from}-{until}"), (from..=until).collect(), false)
            }
            3 => {
                let mut values: Vec<u64> = (0..2 + self.below(3)).map(|_| self.below(size)).collect();
                values.sort_unstable();
                values.dedup();
                let text = values.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
                (text, values, false)
            }
            _ => {
                let value = self.below(if size == 24 { 5 } else { size });
                (value.to_string(), vec![value], false)
            }
        }
    }
}

/// A minute of a window: the instant, its wall clock, and what the wall clock shows, or jumped over, for
/// the first time.
struct Minute {
    at: Timestamp,
    wall: Wall,
    is_first_shown: Vec<Wall>,
}

/// Hour and minute.
type Wall = (u64, u64);

fn wall(time: DateTime) -> Wall {
    (u64::from(time.hour().unsigned_abs()), u64::from(time.minute().unsigned_abs()))
}

/// The window's minutes; the first one is not within it.
fn window(zone: &TimeZone, change: &str) -> Vec<Minute> {
    let start = change.parse::<Timestamp>().unwrap().0 - BEFORE_MS;
    let mut shown: Option<DateTime> = None;
    let mut minutes = Vec::new();
    for minute in 0..=WINDOW_MINUTES {
        let at = Timestamp(start + minute * MINUTE_MS);
        let now = zone.to_datetime(jiff::Timestamp::from_millisecond(at.0).unwrap());
        let mut latest = shown.unwrap_or(now);
        let mut is_first_shown = Vec::new();
        while latest < now {
            latest = latest.checked_add(jiff::Span::new().minutes(1)).unwrap();
            is_first_shown.push(wall(latest));
        }
        minutes.push(Minute { at, wall: wall(now), is_first_shown });
        shown = Some(latest);
    }
    minutes
}

#[test]
fn row_73_moments_are_those_of_an_oracle_that_looks_at_every_minute() {
    let mut draw = Draw(73);
    let mut lists = 0;
    let windows: Vec<Vec<Minute>> =
        CHANGES.iter().map(|(name, change)| window(&TimeZone::get(name).unwrap(), change)).collect();
    for case in 0..CASES {
        let (name, change) = CHANGES[case % CHANGES.len()];
        let window = &windows[case % CHANGES.len()];
        let (minute, minutes, every_minute) = draw.field(60);
        let (hour, hours, every_hour) = draw.field(24);
        let is_passing = every_minute || every_hour;
        lists += usize::from(!is_passing && hours.len() * minutes.len() > 1);
        let fits = |wall: &Wall| hours.contains(&wall.0) && minutes.contains(&wall.1);
        // What passes comes each time that the wall clock shows it, what is fixed the first time.
        let comes = |minute: &&Minute| match is_passing {
            true => fits(&minute.wall),
            false => minute.is_first_shown.iter().any(fits),
        };
        let expected: Vec<Timestamp> = window.iter().skip(1).filter(comes).map(|minute| minute.at).collect();
        let cron = format!("{minute} {hour} * * *");
        let schedule = serde_json::from_value(json!({ "cron": cron, "zone": name })).unwrap();
        let table = Timetable::new(&schedule).unwrap();
        let (after, until) = (window[0].at, window[window.len() - 1].at);
        let between = table.between(after, until, usize::MAX).moments;
        assert_eq!(between, expected, "case {case}: {cron} in {name} about {change}");
    }
    assert!(lists > CASES / 5, "{lists} cases list several fixed times");
}

//! Which moments a schedule has.
//!
//! Law: a timetable is a pure function of its schedule; which moments lie between two instants does not
//! depend on when or how often it is asked. Over a change of the clock a pattern with fixed times of day has one
//! moment for each of them; one of every hour, or of every few minutes, goes on by the time that passes.
//!
//! Moments are looked for backwards from the end, so that a long time without an engine costs no more than
//! the moments that still count.

mod fixed_times;

use std::str::FromStr as _;

use croner::Cron;
use jiff::Zoned;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::definition::Schedule;
use everfold_base::time::Timestamp;
use fixed_times::FixedTimes;

/// Moments that are caught up at most.
pub const CAUGHT_UP_MAX: usize = 100;
/// Moments of the pattern that are looked at for one that fits the weekdays and hours: more than the days
/// and hours of 9 years.
const LOOKS_MAX: usize = 120_000;
/// The pattern of the 29th of February may stand still for so long.
const RAREST_MS: i64 = 9 * 366 * 86_400_000;

/// A schedule that has no moments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// The pattern cannot be read.
    #[error("“{pattern}” is no cron pattern: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        why: String,
    },
    /// There is no such zone.
    #[error("there is no time zone “{0}”")]
    Zone(String),
    /// No moment ever fits.
    #[error("no moment ever fits: {0}")]
    Never(String),
    /// Neither a pattern nor a span.
    #[error("a schedule has `cron` or `every`")]
    Empty,
}

/// The moments of a schedule, ready to be asked.
#[derive(Debug, Clone)]
pub struct Timetable {
    pattern: Pattern,
    zone: TimeZone,
    weekdays: Vec<Weekday>,
    hours: Option<(u8, u8)>,
    jitter_ms: u64,
}

#[derive(Debug, Clone)]
enum Pattern {
    /// Fixed times of day.
    Fixed(Box<FixedTimes>),
    /// By the time that passes.
    Interval(Box<Cron>),
    /// Multiples of so many ms since the epoch.
    Every(i64),
}

/// The moments between two instants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The newest of them, oldest first.
    pub moments: Vec<Timestamp>,
    /// There are older ones.
    pub has_older: bool,
}

impl Timetable {
    /// Reads a schedule.
    ///
    /// # Errors
    /// [`BadSchedule`]: it has no moments.
    pub fn new(schedule: &Schedule) -> Result<Self, BadSchedule> {
        let pattern = match (&schedule.cron, &schedule.every) {
            (Some(cron), _) => {
                let read = Cron::from_str(cron);
                let bad = |error: croner::errors::CronError| BadSchedule::Pattern {
                    pattern: cron.clone(),
                    why: error.to_string(),
                };
                let cron = read.map_err(bad)?;
                match FixedTimes::of(&cron) {
                    Some(fixed) => Pattern::Fixed(Box::new(fixed)),
                    None => Pattern::Interval(Box::new(cron)),
                }
            }
            (None, Some(every)) => {
                let ms = i64::try_from(every.0.as_millis()).unwrap_or(i64::MAX);
                Pattern::Every(ms.max(1))
            }
            (None, None) => return Err(BadSchedule::Empty),
        };
        let zone = match &schedule.zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| BadSchedule::Zone(name.clone()))?,
        };
        let timetable = Self {
            pattern,
            zone,
            weekdays: schedule.weekdays.iter().filter_map(|day| weekday(day)).collect(),
            hours: schedule.hours,
            jitter_ms: schedule.jitter.map_or(0, |span| millis(span.0)),
        };
        // Asked of the same years always, so that a pipeline that was good once stays so.
        let until = Timestamp(4_102_444_800_000);
        let ever = timetable.between(Timestamp(until.0 - RAREST_MS), until, 1);
        if ever.moments.is_empty() {
            return Err(BadSchedule::Never(words(schedule)));
        }
        Ok(timetable)
    }

    /// The moments after one instant and up to another, the newest `max` of them.
    #[must_use]
    pub fn between(&self, after: Timestamp, until: Timestamp, max: usize) -> Due {
        let mut due = Due::default();
        let mut at = self.last(until, true);
        for _look in 0..LOOKS_MAX {
            let Some(moment) = at.filter(|moment| *moment > after) else { break };
            at = match self.refused_since(moment) {
                None if due.moments.len() == max => {
                    due.has_older = true;
                    break;
                }
                None => {
                    due.moments.push(moment);
                    self.last(moment, false)
                }
                // Nothing between that instant and this moment fits either.
                Some(since) => self.last(since.min(moment), false),
            };
        }
        due.moments.reverse();
        due
    }

    /// The moments that are due: each is put off by its own jitter, and none overtakes an earlier one.
    #[must_use]
    pub fn due(&self, name: &str, after: Timestamp, now: Timestamp, max: usize) -> Due {
        let mut due = self.between(after, now, max);
        let is_due = |moment: &Timestamp| self.put_off(name, *moment) <= now;
        let count = due.moments.iter().take_while(|moment| is_due(moment)).count();
        due.moments.truncate(count);
        due
    }

    /// The first moment after an instant, and when it is due. `None` where there is none within 9 years.
    #[must_use]
    pub fn next(&self, name: &str, after: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let mut from = after;
        for _look in 0..LOOKS_MAX {
            let moment = self.first_after(from)?;
            match self.refused_since(moment) {
                None => return Some((moment, self.put_off(name, moment))),
                Some(_) => from = self.refused_until(moment).max(moment),
            }
        }
        None
    }

    /// A moment with its jitter, which follows from the schedule's name and the moment.
    #[must_use]
    pub fn put_off(&self, name: &str, moment: Timestamp) -> Timestamp {
        if self.jitter_ms == 0 {
            return moment;
        }
        let hash = blake3::hash(format!("{name}/{}", moment.0).as_bytes());
        let drawn = u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default());
        let ms = drawn % (self.jitter_ms + 1);
        Timestamp(moment.0.saturating_add(i64::try_from(ms).unwrap_or(0)))
    }

    /// The last moment of the pattern before an instant, or at it.
    fn last(&self, at: Timestamp, inclusive: bool) -> Option<Timestamp> {
        match &self.pattern {
            Pattern::Every(ms) => {
                let at = if inclusive { at.0 } else { at.0.checked_sub(1)? };
                Some(Timestamp(at.div_euclid(*ms) * ms))
            }
            Pattern::Fixed(times) => {
                Some(Timestamp(times.last(&self.zoned(at)?, inclusive)?.as_millisecond()))
            }
            Pattern::Interval(cron) => {
                // Moments are whole seconds: within a second its beginning has passed.
                let second = at.0.div_euclid(1_000);
                let inclusive = inclusive || second * 1_000 < at.0;
                let start = self.zoned(Timestamp(second * 1_000))?;
                let found = cron.find_previous_occurrence(&start, inclusive).ok()?;
                Some(Timestamp(found.timestamp().as_millisecond()))
            }
        }
    }

    fn first_after(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.pattern {
            Pattern::Every(ms) => (at.0.div_euclid(*ms) + 1).checked_mul(*ms).map(Timestamp),
            Pattern::Fixed(times) => Some(Timestamp(times.first_after(&self.zoned(at)?)?.as_millisecond())),
            Pattern::Interval(cron) => {
                let start = self.zoned(Timestamp(at.0.div_euclid(1_000) * 1_000))?;
                let found = cron.find_next_occurrence(&start, false).ok()?;
                Some(Timestamp(found.timestamp().as_millisecond()))
            }
        }
    }

    /// `None`: the moment fits the weekdays and hours. Else since when none does.
    fn refused_since(&self, moment: Timestamp) -> Option<Timestamp> {
        let zoned = self.zoned(moment)?;
        if !self.weekdays.is_empty() && !self.weekdays.contains(&zoned.weekday()) {
            return Some(zoned.start_of_day().map_or(moment, |day| millis_of(&day)));
        }
        if !self.has_hour(&zoned) {
            let into_hour = i64::from(zoned.minute()) * 60_000 + i64::from(zoned.second()) * 1_000;
            return Some(Timestamp(moment.0 - into_hour - moment.0.rem_euclid(1_000)));
        }
        None
    }

    /// Until when no moment fits after one that does not.
    fn refused_until(&self, moment: Timestamp) -> Timestamp {
        let Some(zoned) = self.zoned(moment) else { return moment };
        let is_day_refused = !self.weekdays.is_empty() && !self.weekdays.contains(&zoned.weekday());
        let end = match is_day_refused {
            true => zoned.tomorrow().and_then(|day| day.start_of_day()).map_or(moment, |day| millis_of(&day)),
            false => {
                let into_hour = i64::from(zoned.minute()) * 60_000 + i64::from(zoned.second()) * 1_000;
                Timestamp(moment.0 - into_hour - moment.0.rem_euclid(1_000) + 3_600_000)
            }
        };
        Timestamp(end.0 - 1)
    }

    fn has_hour(&self, zoned: &Zoned) -> bool {
        let Some((from, until)) = self.hours else { return true };
        let hour = u8::try_from(zoned.hour()).unwrap_or(0);
        if from < until { (from..until).contains(&hour) } else { hour >= from || hour < until }
    }

    fn zoned(&self, at: Timestamp) -> Option<Zoned> {
        let instant = jiff::Timestamp::from_millisecond(at.0).ok()?;
        Some(instant.to_zoned(self.zone.clone()))
    }
}

fn millis_of(zoned: &Zoned) -> Timestamp {
    Timestamp(zoned.timestamp().as_millisecond())
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX - 1)
}

fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _other => return None,
    })
}

/// A schedule as people read it: `30 7 * * mon-fri Europe/Berlin`, `every 15m mon,fri 8..18`.
#[must_use]
pub fn words(schedule: &Schedule) -> String {
    let mut words = Vec::new();
    match (&schedule.cron, &schedule.every) {
        (Some(cron), _) => words.push(cron.clone()),
        (None, Some(every)) => words.push(format!("every {}", everfold_base::duration::format(every.0))),
        (None, None) => {}
    }
    if !schedule.weekdays.is_empty() {
        words.push(schedule.weekdays.join(","));
    }
    if let Some((from, until)) = schedule.hours {
        words.push(format!("{from}..{until}"));
    }
    words.extend(schedule.zone.clone());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn schedule(value: Value) -> Schedule {
        serde_json::from_value(value).unwrap()
    }

    fn table(value: Value) -> Timetable {
        Timetable::new(&schedule(value)).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The moments between, as wall clock times with their offsets.
    fn wall(table: &Timetable, after: &str, until: &str) -> Vec<String> {
        let due = table.between(at(after), at(until), 1_000);
        let show = |moment: &Timestamp| table.zoned(*moment).unwrap().strftime("%d %H:%M %:z").to_string();
        due.moments.iter().map(show).collect()
    }

    #[test]
    fn t_in_spring_a_fixed_hour_that_does_not_exist_comes_once_and_each_hour_goes_on() {
        let fixed = table(json!({"cron": "30 2 * * *", "zone": "Europe/Berlin"}));
        let (after, until) = ("2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z");
        assert_eq!(wall(&fixed, after, until), ["28 02:30 +01:00", "29 03:00 +02:00", "30 02:30 +02:00"]);
        let hourly = table(json!({"cron": "0 * * * *", "zone": "Europe/Berlin"}));
        let night = wall(&hourly, "2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z");
        assert_eq!(night, ["29 01:00 +01:00", "29 03:00 +02:00", "29 04:00 +02:00"]);
    }

    #[test]
    fn t_in_autumn_a_fixed_hour_that_comes_twice_counts_once_and_each_hour_goes_on() {
        let fixed = table(json!({"cron": "30 2 * * *", "zone": "Europe/Berlin"}));
        let days = wall(&fixed, "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z");
        assert_eq!(days, ["24 02:30 +02:00", "25 02:30 +02:00", "26 02:30 +01:00"]);
        let hourly = table(json!({"cron": "0 * * * *", "zone": "Europe/Berlin"}));
        let night = wall(&hourly, "2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z");
        assert_eq!(night, ["25 02:00 +02:00", "25 02:00 +01:00", "25 03:00 +01:00"]);
    }

    #[test]
    fn row_73_times_of_a_list_or_range_come_over_both_changes_of_the_clock_as_single_ones_do() {
        let list = table(json!({"cron": "0 2,14 * * *", "zone": "Europe/Berlin"}));
        let spring = wall(&list, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
        let expected =
            ["28 14:00 +01:00", "29 03:00 +02:00", "29 14:00 +02:00", "30 02:00 +02:00", "30 14:00 +02:00"];
        assert_eq!(spring, expected);
        let autumn = wall(&list, "2026-10-24T11:00:00Z", "2026-10-25T14:00:00Z");
        assert_eq!(autumn, ["24 14:00 +02:00", "25 02:00 +02:00", "25 14:00 +01:00"]);
        // Two times that the clock leaves out at once are one moment.
        let range = table(json!({"cron": "0,30 1-3 * * *", "zone": "Europe/Berlin"}));
        let night = wall(&range, "2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z");
        assert_eq!(night, ["29 01:00 +01:00", "29 01:30 +01:00", "29 03:00 +02:00", "29 03:30 +02:00"]);
    }

    #[test]
    fn t_forwards_and_backwards_are_the_same_moments_whatever_the_cut() {
        for spec in [
            json!({"cron": "*/20 1-3 * * *", "zone": "Europe/Berlin"}),
            json!({"cron": "30 2 * * *", "zone": "Europe/Berlin"}),
            json!({"cron": "0,30 1-3,14 * * *", "zone": "Europe/Berlin"}),
            json!({"cron": "0 * * * *", "zone": "America/New_York", "weekdays": ["sat", "sun"], "hours": [22, 6]}),
            json!({"every": "35m", "zone": "Europe/Berlin", "hours": [8, 18]}),
            json!({"cron": "15 30 7 * * mon-fri", "zone": "Asia/Kathmandu"}),
        ] {
            let table = table(spec.clone());
            for (from, until) in [
                ("2026-03-27T00:00:00Z", "2026-03-31T00:00:00Z"),
                ("2026-10-23T00:00:00Z", "2026-11-03T00:00:00Z"),
            ] {
                let whole = table.between(at(from), at(until), 1_000).moments;
                let mut forwards = Vec::new();
                let mut cursor = at(from);
                while let Some((moment, _)) = table.next("x", cursor) {
                    if moment > at(until) {
                        break;
                    }
                    forwards.push(moment);
                    cursor = moment;
                }
                assert_eq!(whole, forwards, "{spec}");
                // Asked every 41 minutes, nothing is seen twice or never.
                let mut pieces = Vec::new();
                let mut cursor = at(from);
                while cursor < at(until) {
                    let next = Timestamp((cursor.0 + 41 * 60_000).min(at(until).0));
                    pieces.extend(table.between(cursor, next, 1_000).moments);
                    cursor = next;
                }
                assert_eq!(whole, pieces, "{spec}");
            }
        }
    }

    #[test]
    fn t_of_many_moments_the_newest_count() {
        let table = table(json!({"every": "1m"}));
        let due = table.between(at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z"), CAUGHT_UP_MAX);
        assert_eq!((due.moments.len(), due.has_older), (CAUGHT_UP_MAX, true));
        assert_eq!(due.moments.last(), Some(&at("2026-01-02T00:00:00Z")));
        assert!(due.moments.is_sorted());
    }

    #[test]
    fn t_weekdays_and_hours_keep_moments_out_the_last_hour_too() {
        let (monday, sunday) = ("2026-01-05T00:00:00Z", "2026-01-11T23:59:59Z");
        let hours = |spec: Value, until| wall(&table(spec), monday, until);
        let day = hours(json!({"every": "1h", "hours": [8, 10]}), "2026-01-06T00:00:00Z");
        assert_eq!(day, ["05 08:00 +00:00", "05 09:00 +00:00"], "until before 10");
        let night = hours(json!({"every": "1h", "hours": [22, 1]}), "2026-01-06T12:00:00Z");
        assert_eq!(night, ["05 22:00 +00:00", "05 23:00 +00:00", "06 00:00 +00:00"], "over midnight");
        let week = hours(json!({"cron": "0 7 * * *", "weekdays": ["mon", "fri"]}), sunday);
        assert_eq!(week, ["05 07:00 +00:00", "09 07:00 +00:00"]);
    }

    #[test]
    fn t_jitter_follows_from_the_name_and_the_moment_and_overtakes_nobody() {
        let table = table(json!({"every": "10s", "jitter": "1m"}));
        let (from, until) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T01:00:00Z"));
        let mut cursor = from;
        let mut seen = Vec::new();
        let mut now = from;
        while now < until {
            now = Timestamp(now.0 + 1_000);
            let due = table.due("a", cursor, now, 1_000).moments;
            cursor = due.last().copied().unwrap_or(cursor);
            seen.extend(due);
        }
        assert!(seen.is_sorted());
        assert!(seen.len() > 350, "{}", seen.len());
        assert_ne!(table.put_off("a", from), table.put_off("b", from));
        assert_eq!(table.put_off("a", from), table.put_off("a", from));
        let moments = table.between(from, until, 1_000).moments;
        let late = moments.iter().map(|moment| table.put_off("a", *moment).0 - moment.0);
        assert!(late.into_iter().all(|ms| (0..=60_000).contains(&ms)), "at most so much");
    }

    #[test]
    fn t_what_never_comes_is_an_error_and_what_comes_seldom_is_none() {
        let bad = |value: Value| Timetable::new(&schedule(value)).unwrap_err().to_string();
        assert!(bad(json!({"cron": "0 0 30 2 *"})).contains("no moment ever fits"));
        assert!(bad(json!({"cron": "0 7 * * *", "hours": [8, 18]})).contains("0 7 * * * 8..18"));
        assert!(bad(json!({"cron": "0 7 * * mon", "weekdays": ["tue"]})).contains("no moment ever fits"));
        assert!(bad(json!({"cron": "* * * * *", "zone": "Mars/Olympus"})).contains("no time zone"));
        let leap = table(json!({"cron": "0 0 29 2 *"}));
        let (next, _) = leap.next("x", at("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(next, at("2028-02-29T00:00:00Z"));
    }
}

//! Cron patterns whose times of day are lists or ranges: `0 2,14 * * *`, `30 7-9 * * mon-fri`.
//!
//! Law: each time of each day that fits has one moment: the first instant at which the wall clock shows
//! that time or a later one. So a time that the clock leaves out in spring comes when the clock has moved
//! on, and one that the clock shows twice in autumn comes the first time. Later times never come earlier.
//!
//! Used by [`Timetable`](super::Timetable). Patterns of every hour, every minute or every second, and
//! steps over all of them, are not fixed: they go on by the time that passes.

use croner::{Cron, CronComponent, Weekday as CronWeekday};
use jiff::Zoned;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};

/// The pattern of the 29th of February may stand still for so long.
const DAYS_MAX: usize = 9 * 366;

/// The times of day of a pattern, and the days that have them.
#[derive(Debug, Clone)]
pub(super) struct FixedTimes {
    /// Asked for its days only.
    days: Cron,
    hours: Vec<i8>,
    minutes: Vec<i8>,
    seconds: Vec<i8>,
}

impl FixedTimes {
    /// The fixed times of a pattern; `None` where it has none.
    pub(super) fn of(cron: &Cron) -> Option<Self> {
        let pattern = &cron.pattern;
        let (hours, minutes, seconds) =
            (listed(&pattern.hours)?, listed(&pattern.minutes)?, listed(&pattern.seconds)?);
        Some(Self { days: cron.clone(), hours, minutes, seconds })
    }

    /// The last moment before an instant, or at it.
    pub(super) fn last(&self, at: &Zoned, inclusive: bool) -> Option<jiff::Timestamp> {
        let limit = at.timestamp();
        let has_come = |moment: jiff::Timestamp| if inclusive { moment <= limit } else { moment < limit };
        // The wall clock may have gone back since the moment: its date may be that of tomorrow.
        let mut date = at.date().tomorrow().unwrap_or(at.date());
        for _day in 0..DAYS_MAX {
            if self.has_day(date) {
                let come =
                    self.count_until(|time| self.moment(date, time, at.time_zone()).is_some_and(has_come));
                if let Some(last) = come.checked_sub(1) {
                    return self.moment(date, self.time(last)?, at.time_zone());
                }
            }
            date = date.yesterday().ok()?;
        }
        None
    }

    /// The first moment after an instant.
    pub(super) fn first_after(&self, at: &Zoned) -> Option<jiff::Timestamp> {
        let limit = at.timestamp();
        let mut date = at.date().yesterday().unwrap_or(at.date());
        for _day in 0..DAYS_MAX {
            if self.has_day(date) {
                let is_past = |moment: jiff::Timestamp| moment <= limit;
                let past =
                    self.count_until(|time| self.moment(date, time, at.time_zone()).is_some_and(is_past));
                if let Some(time) = self.time(past) {
                    return self.moment(date, time, at.time_zone());
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let pattern = &self.days.pattern;
        let (month, day) = (u32::from(date.month().unsigned_abs()), u32::from(date.day().unsigned_abs()));
        let year = i32::from(date.year());
        pattern.year_match(year).unwrap_or(false)
            && pattern.month_match(month).unwrap_or(false)
            && pattern.day_match(year, month, day, weekday(date.weekday())).unwrap_or(false)
    }

    fn count(&self) -> usize {
        self.hours.len() * self.minutes.len() * self.seconds.len()
    }

    /// The times of a day in their order.
    fn time(&self, index: usize) -> Option<Time> {
        let (minutes, seconds) = (self.minutes.len(), self.seconds.len());
        let hour = self.hours.get(index / (minutes * seconds))?;
        let minute = self.minutes.get(index / seconds % minutes)?;
        let second = self.seconds.get(index % seconds)?;
        Time::new(*hour, *minute, *second, 0).ok()
    }

    /// How many of a day's times, from the first on, fulfil a condition that later ones do not.
    fn count_until(&self, is_before: impl Fn(Time) -> bool) -> usize {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.time(middle).is_some_and(&is_before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The first instant at which the wall clock shows this time of this day, or a later one.
    fn moment(&self, date: Date, time: Time, zone: &TimeZone) -> Option<jiff::Timestamp> {
        let wall = date.to_datetime(time);
        match zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(wall).ok()
            }
            // With the offset of after the gap the time lies before it.
            AmbiguousOffset::Gap { after, .. } => {
                Some(zone.following(after.to_timestamp(wall).ok()?).next()?.timestamp())
            }
        }
    }
}

/// The values of a field that lists some of them; `None` where it means every one, or every few.
fn listed(field: &CronComponent) -> Option<Vec<i8>> {
    let values = field.values();
    let has_all = values.len() > usize::from(field.max - field.min);
    if field.from_wildcard || has_all {
        return None;
    }
    values.into_iter().map(|value| i8::try_from(value).ok()).collect()
}

fn weekday(day: Weekday) -> CronWeekday {
    match day {
        Weekday::Monday => CronWeekday::Monday,
        Weekday::Tuesday => CronWeekday::Tuesday,
        Weekday::Wednesday => CronWeekday::Wednesday,
        Weekday::Thursday => CronWeekday::Thursday,
        Weekday::Friday => CronWeekday::Friday,
        Weekday::Saturday => CronWeekday::Saturday,
        Weekday::Sunday => CronWeekday::Sunday,
    }
}

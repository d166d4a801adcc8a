//! Which moments a schedule has.
//!
//! Law: a timetable is a pure function of its schedule; which moments lie between two instants does not
//! depend on when or how often it is asked. Over a change of the clock a pattern with fixed times of day has one
//! moment for each of them; one of every hour, or of every few minutes, goes on by the time that passes.
//!
//! Moments are looked for backwards from the end, so that a long time without an engine costs no more than
//! the moments that still count. With an anchor a moment outside of the days and hours is put forward to the next full
//! hour within them; that keeps their order, so moments that are put forward are looked for in the same way.

mod backward_range;
mod fixed_times;

use std::str::FromStr as _;

use croner::Cron;
use jiff::Zoned;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::definition::{Anchor, Schedule};
use backward_range::BackwardRange;
use everfold_base::time::Timestamp;
use fixed_times::FixedTimes;

/// Moments that are caught up at most.
pub const CAUGHT_UP_MAX: usize = 100;
/// Moments of the pattern that are looked at for one that fits the weekdays and hours: more than the days
/// and hours of 9 years.
const LOOKS_MAX: usize = 120_000;
/// Hours and days that are passed to put a moment forward into the days and hours: more than a week has.
const FORWARD_MAX: usize = 200;
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
    /// A moment outside of the days and hours is put forward; else it is none.
    puts_forward: bool,
    jitter_ms: u64,
}

#[derive(Debug, Clone)]
enum Pattern {
    /// Fixed times of day.
    Fixed(Box<FixedTimes>),
    /// By the time that passes.
    Interval(Box<Cron>),
    /// Every so many ms.
    Every {
        ms: i64,
        /// A moment of it.
        anchor: i64,
        /// No moment is before this one.
        first: i64,
    },
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
    /// Reads a schedule, to learn whether it has moments.
    ///
    /// # Errors
    /// [`BadSchedule`]: it has no moments.
    pub fn new(schedule: &Schedule) -> Result<Self, BadSchedule> {
        Self::since(schedule, Timestamp(0))
    }

    /// Reads a schedule that was saved, added or changed at a moment.
    ///
    /// # Errors
    /// [`BadSchedule`]: it has no moments.
    pub fn since(schedule: &Schedule, added: Timestamp) -> Result<Self, BadSchedule> {
        let pattern = match (&schedule.cron, &schedule.every) {
            (Some(cron), _) => {
                let read = Cron::from_str(cron);
                let bad = |error: croner::errors::CronError| BadSchedule::Pattern {
                    pattern: cron.clone(),
                    why: BackwardRange::of(cron)
                        .map_or_else(|| error.to_string(), |backward| backward.to_string()),
                };
                let cron = read.map_err(bad)?;
                match FixedTimes::of(&cron) {
                    Some(fixed) => Pattern::Fixed(Box::new(fixed)),
                    None => Pattern::Interval(Box::new(cron)),
                }
            }
            (None, Some(every)) => {
                let ms = i64::try_from(every.0.as_millis()).unwrap_or(i64::MAX);
                let ms = ms.max(1);
                let (anchor, first) = match schedule.anchor {
                    None => (0, i64::MIN),
                    Some(Anchor::At(at)) => (at.0, at.0),
                    Some(Anchor::Added) => {
                        let anchor = rounded_up(added.0, ms);
                        (anchor, anchor.saturating_add(ms))
                    }
                };
                Pattern::Every { ms, anchor, first }
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
            puts_forward: schedule.anchor.is_some(),
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
            let Some(of_pattern) = at else { break };
            let refused_since = self.refused_since(of_pattern);
            let moment = match refused_since {
                Some(_) if self.puts_forward => self.put_forward(of_pattern),
                _fits_or_is_none => Some(of_pattern),
            };
            let Some(moment) = moment.filter(|moment| *moment > after) else { break };
            let is_taken = due.moments.last().is_some_and(|later| moment >= *later);
            let counts = match refused_since {
                None => !is_taken,
                Some(_) => self.puts_forward && moment <= until && !is_taken,
            };
            if counts && due.moments.len() == max {
                due.has_older = true;
                break;
            }
            if counts {
                due.moments.push(moment);
            }
            at = match refused_since {
                None => self.last(of_pattern, false),
                // Nothing between that instant and this moment fits either.
                Some(since) => self.last(since.min(of_pattern), false),
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
        if self.puts_forward {
            // The last one of the pattern may be put forward beyond that instant.
            let last = self.last(after, true).and_then(|moment| self.placed(moment));
            let next = match last.filter(|moment| *moment > after) {
                None => self.placed(self.first_after(after)?)?,
                Some(moment) => moment,
            };
            return Some((next, self.put_off(name, next)));
        }
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
            Pattern::Every { ms, anchor, first } => {
                let at = if inclusive { at.0 } else { at.0.checked_sub(1)? };
                let periods = at.checked_sub(*anchor)?.div_euclid(*ms);
                let moment = periods.checked_mul(*ms)?.checked_add(*anchor)?;
                (moment >= *first).then_some(Timestamp(moment))
            }
            Pattern::Fixed(times) => {
                Some(Timestamp(times.last(&self.zoned(at)?, inclusive)?.as_millisecond()))
            }
            Pattern::Interval(cron) => {
                // Moments are whole seconds: within a second its beginning has passed.
                let second = at.0.checked_sub(at.0.rem_euclid(1_000))?;
                let inclusive = inclusive || second < at.0;
                let start = self.zoned(Timestamp(second))?;
                let found = cron.find_previous_occurrence(&start, inclusive).ok()?;
                Some(Timestamp(found.timestamp().as_millisecond()))
            }
        }
    }

    fn first_after(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.pattern {
            Pattern::Every { ms, anchor, first } => {
                let since = at.0.checked_sub(*anchor)?;
                let periods = since.div_euclid(*ms).checked_add(1)?;
                let moment = periods.checked_mul(*ms)?.checked_add(*anchor)?;
                Some(Timestamp(moment.max(*first)))
            }
            Pattern::Fixed(times) => Some(Timestamp(times.first_after(&self.zoned(at)?)?.as_millisecond())),
            Pattern::Interval(cron) => {
                let second = at.0.checked_sub(at.0.rem_euclid(1_000))?;
                let start = self.zoned(Timestamp(second))?;
                let found = cron.find_next_occurrence(&start, false).ok()?;
                Some(Timestamp(found.timestamp().as_millisecond()))
            }
        }
    }

    /// A moment of the pattern, put forward where it is outside of the days and hours.
    fn placed(&self, moment: Timestamp) -> Option<Timestamp> {
        match self.refused_since(moment) {
            None => Some(moment),
            Some(_) => self.put_forward(moment),
        }
    }

    /// The first full hour within the days and hours after a moment that is outside of them.
    fn put_forward(&self, moment: Timestamp) -> Option<Timestamp> {
        let mut at = moment;
        for _look in 0..FORWARD_MAX {
            at = Timestamp(self.refused_until(at).0.saturating_add(1));
            if self.refused_since(at).is_none() {
                return Some(at);
            }
        }
        None
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
        Timestamp(end.0.saturating_sub(1))
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

/// An instant, rounded up to the full hour, minute or second, whichever divides a span first.
fn rounded_up(at: i64, span: i64) -> i64 {
    let unit = [3_600_000, 60_000, 1_000].into_iter().find(|unit| span % unit == 0).unwrap_or(1);
    at.saturating_add(unit - 1).div_euclid(unit).saturating_mul(unit)
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
    match schedule.anchor {
        None => {}
        Some(Anchor::Added) => words.push("since it was added".to_owned()),
        Some(Anchor::At(at)) => words.push(format!("since {at}")),
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
mod tests;

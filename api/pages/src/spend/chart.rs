//! The chart of days: a bar a day, or of as many days as keep the bars apart.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};

use super::group::SpendGroup;

/// The most bars of a chart.
const BARS_MAX: usize = 92;
/// The fewest days of a chart that begins with the first spending: one bar alone would fill it.
const BARS_MIN: i64 = 14;
/// The height of the drawing, in its own units.
pub(crate) const HEIGHT: u64 = 100;
/// The width of a bar with its gap.
const STEP: u64 = 10;
const BAR: u64 = 8;

/// What is drawn and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Cost,
    Tokens,
}

impl Measure {
    /// The size of a group: micros of a dollar, or tokens.
    pub(crate) fn of(self, group: &SpendGroup) -> u64 {
        match self {
            Self::Cost => micros(&group.cost_usd),
            Self::Tokens => group.input_tokens + group.output_tokens,
        }
    }

    /// A size in words.
    pub(crate) fn text(self, size: u64) -> String {
        match self {
            Self::Cost => crate::words::usd(&format!("{}.{:06}", size / 1_000_000, size % 1_000_000)),
            Self::Tokens => format!("{} tokens", crate::words::count(size)),
        }
    }

    pub(crate) fn is_tokens(self) -> bool {
        self == Self::Tokens
    }
}

/// A decimal of dollars in micros.
pub(crate) fn micros(usd: &str) -> u64 {
    let (whole, part) = usd.split_once('.').unwrap_or((usd, ""));
    let part: String = part.chars().chain(std::iter::repeat('0')).take(6).collect();
    let whole: u64 = whole.parse().unwrap_or(0);
    whole.saturating_mul(1_000_000).saturating_add(part.parse().unwrap_or(0))
}

/// The day some days before a time.
pub(crate) fn day_before(now_millis: i64, days: i64) -> String {
    let today = day_of(now_millis);
    today.checked_sub(days.days()).unwrap_or(today).to_string()
}

fn day_of(millis: i64) -> Date {
    Timestamp::from_millisecond(millis).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// A bar of the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DayBar {
    pub(crate) x: u64,
    pub(crate) y: u64,
    pub(crate) width: u64,
    pub(crate) height: u64,
    /// `2026-11-22`, or `2026-11-20 to 2026-11-22`.
    pub(crate) days: String,
    pub(crate) size: u64,
    pub(crate) text: String,
}

/// The chart of days.
#[derive(Debug, Clone, Default)]
pub(crate) struct DayChart {
    pub(crate) bars: Vec<DayBar>,
    pub(crate) width: u64,
    /// The largest bar in words.
    pub(crate) top: String,
    pub(crate) first: String,
    pub(crate) last: String,
    /// Days that one bar stands for.
    pub(crate) days_a_bar: usize,
}

impl DayChart {
    /// The chart of these days, from a first one on up to the shown moment.
    pub(crate) fn of(days: &[SpendGroup], since: Option<&str>, measure: Measure, shown_millis: i64) -> Self {
        Self::up_to(days, since, measure, day_of(shown_millis))
    }

    fn up_to(days: &[SpendGroup], since: Option<&str>, measure: Measure, today: Date) -> Self {
        let known: Vec<(Date, u64)> =
            days.iter().filter_map(|day| Some((day.group.parse().ok()?, measure.of(day)))).collect();
        let oldest = known.iter().map(|(day, _)| *day).min();
        let last = known.iter().map(|(day, _)| *day).max().unwrap_or(today).max(today);
        let room = last.checked_sub((BARS_MIN - 1).days()).unwrap_or(last);
        let asked = since.and_then(|since| since.parse().ok());
        let Some(first) = asked.or_else(|| oldest.map(|oldest| oldest.min(room))) else {
            return Self::default();
        };
        let number =
            usize::try_from(first.until(last).map_or(0, |span| span.get_days()).max(0)).unwrap_or(0) + 1;
        let days_a_bar = number.div_ceil(BARS_MAX).max(1);
        let mut sizes = vec![0_u64; number.div_ceil(days_a_bar)];
        for (day, size) in &known {
            let at =
                usize::try_from(first.until(*day).map_or(-1, |span| span.get_days())).unwrap_or(usize::MAX);
            if let Some(sum) = sizes.get_mut(at / days_a_bar) {
                *sum = sum.saturating_add(*size);
            }
        }
        let top = sizes.iter().copied().max().unwrap_or(0);
        let bars = sizes
            .iter()
            .enumerate()
            .map(|(at, size)| bar(at, *size, top, (first, days_a_bar), last, measure));
        Self {
            bars: bars.collect(),
            width: sizes.len() as u64 * STEP,
            top: measure.text(top),
            first: first.to_string(),
            last: last.to_string(),
            days_a_bar,
        }
    }

    /// The bars that are more than nothing, the newest first.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &DayBar> {
        self.bars.iter().rev().filter(|bar| bar.size > 0)
    }

    /// Whether one bar stands for one day.
    pub(crate) fn is_daily(&self) -> bool {
        self.days_a_bar <= 1
    }
}

fn bar(at: usize, size: u64, top: u64, (first, days): (Date, usize), last: Date, measure: Measure) -> DayBar {
    let day = |number: usize| {
        let number = i64::try_from(number).unwrap_or(0);
        first.checked_add(number.days()).unwrap_or(last).min(last)
    };
    let (from, to) = (day(at * days), day(at * days + days - 1));
    // What is more than nothing is seen.
    let height = if size == 0 {
        0
    } else {
        (u128::from(size) * u128::from(HEIGHT) / u128::from(top.max(1))).max(2) as u64
    };
    DayBar {
        x: at as u64 * STEP + (STEP - BAR) / 2,
        y: HEIGHT - height,
        width: BAR,
        height,
        days: if from == to { from.to_string() } else { format!("{from} to {to}") },
        size,
        text: measure.text(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: &str, usd: &str) -> SpendGroup {
        SpendGroup { group: day.to_owned(), cost_usd: usd.to_owned(), ..SpendGroup::default() }
    }

    fn chart(days: &[SpendGroup], since: Option<&str>, today: &str) -> DayChart {
        DayChart::up_to(days, since, Measure::Cost, today.parse().unwrap())
    }

    #[test]
    fn days_without_spending_have_their_place_and_the_largest_is_the_highest() {
        let days = [day("2026-11-20", "1.000000"), day("2026-11-22", "4.000000")];
        let chart = chart(&days, Some("2026-11-19"), "2026-11-22");
        let heights: Vec<u64> = chart.bars.iter().map(|bar| bar.height).collect();
        assert_eq!(heights, [0, 25, 0, 100]);
        assert_eq!((chart.top.as_str(), chart.bars[3].days.as_str()), ("4.00 USD", "2026-11-22"));
    }

    #[test]
    fn long_times_are_drawn_in_bars_of_several_days() {
        let days = [day("2025-01-01", "0.5"), day("2025-01-02", "0.5"), day("2026-11-22", "0.000001")];
        let chart = chart(&days, None, "2026-11-22");
        assert!(chart.bars.len() <= BARS_MAX && chart.days_a_bar == 8, "{}", chart.days_a_bar);
        assert_eq!(chart.bars[0].text, "1.00 USD");
        assert_eq!(chart.bars.last().map(|bar| bar.height), Some(2), "a little is seen");
    }

    #[test]
    fn a_first_day_does_not_fill_the_chart() {
        let chart = chart(&[day("2026-11-22", "1")], None, "2026-11-22");
        assert_eq!((chart.bars.len(), chart.first.as_str()), (14, "2026-11-09"));
    }

    #[test]
    fn nothing_spent_is_no_chart() {
        assert!(chart(&[], None, "2026-11-22").bars.is_empty());
        assert_eq!(chart(&[], Some("2026-11-16"), "2026-11-22").bars.len(), 7);
    }

    #[test]
    fn dollars_are_read_to_the_micro() {
        assert_eq!(["0.930000", "12", "0.5", "x"].map(micros), [930_000, 12_000_000, 500_000, 0]);
    }
}

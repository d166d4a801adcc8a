//! Ranges of cron patterns that end before they begin: which one, and what to write for it.

use std::fmt;

/// The fields of a pattern with seconds: the first and the last value of each, as a number and as a name.
const FIELDS: [CronField; 6] = [
    CronField { ends: ("0", "59"), names: &[] },
    CronField { ends: ("0", "59"), names: &[] },
    CronField { ends: ("0", "23"), names: &[] },
    CronField { ends: ("1", "31"), names: &[] },
    CronField {
        ends: ("1", "12"),
        names: &["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    CronField { ends: ("0", "6"), names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

struct CronField {
    ends: (&'static str, &'static str),
    /// By their numbers.
    names: &'static [&'static str],
}

/// A range that ends before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackwardRange {
    range: String,
    instead: String,
}

impl BackwardRange {
    /// The first one of a pattern.
    pub(super) fn of(pattern: &str) -> Option<Self> {
        let parts: Vec<&str> = pattern.split_whitespace().collect();
        let without_seconds = usize::from(parts.len() == 5);
        let fields = FIELDS.iter().skip(without_seconds);
        fields.zip(parts).find_map(|(field, part)| part.split(',').find_map(|range| field.backward(range)))
    }
}

impl CronField {
    fn backward(&self, range: &str) -> Option<BackwardRange> {
        let (values, step) = range.split_at(range.find('/').unwrap_or(range.len()));
        let (from, to) = values.split_once('-')?;
        if self.number(from)? <= self.number(to)? {
            return None;
        }
        let is_named = from.starts_with(|c: char| c.is_ascii_alphabetic());
        let (first, last) = match (self.names.iter().find(|name| !name.is_empty()), self.names.last()) {
            (Some(first), Some(last)) if is_named => (*first, *last),
            _numbers => self.ends,
        };
        let part = |from: &str, to: &str| match from.eq_ignore_ascii_case(to) {
            true => from.to_owned(),
            false => format!("{from}-{to}{step}"),
        };
        let instead = format!("{},{}", part(from, last), part(first, to));
        Some(BackwardRange { range: range.to_owned(), instead })
    }

    fn number(&self, text: &str) -> Option<usize> {
        let named = || self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        text.parse().ok().or_else(named)
    }
}

impl fmt::Display for BackwardRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the range {} ends before it begins; write {}", self.range, self.instead)
    }
}

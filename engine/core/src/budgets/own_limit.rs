//! The name of a counter, and the limits that it has of its own.
//!
//! Law: a counter's own limits stand beside those of its runs; of the two the smaller one counts. What raises the limits
//! of its runs raises them, too, until the period ends.

use super::counter::Counter;
use super::event::OwnLimit;
use super::room::{BudgetUse, passed, room};
use crate::event::{BudgetTerms, Measure};
use everfold_base::envelope::{StreamId, StreamKind};
use everfold_base::json::Hash;
use everfold_language::definition::{OnOver, Period};

/// Longer scopes are named by their hash.
const PLAIN_BYTES_MAX: usize = 160;
/// The longest reason for a limit.
pub const REASON_BYTES_MAX: usize = 4 * 1024;

/// What identifies a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterName {
    /// The text that budgets share; of a counter that is named by its hash `#HASH`.
    pub scope: String,
    /// Its period.
    pub per: Period,
    /// Where days begin; `None`: UTC.
    pub zone: Option<String>,
}

impl CounterName {
    /// The counter's stream.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        stream_of(&self.scope, self.per, self.zone.as_deref())
    }

    /// The name of a counter by its stream; `None`: this is none.
    #[must_use]
    pub fn of(stream: &StreamId) -> Option<Self> {
        let (head, scope) = match stream.id.find([':', '#'])? {
            at if stream.id[at..].starts_with(':') => (&stream.id[..at], &stream.id[at + 1..]),
            at => stream.id.split_at(at),
        };
        let (per, zone) = head.split_once('@').map_or((head, None), |(per, zone)| (per, Some(zone)));
        let per = [Period::Total, Period::Day, Period::Week, Period::Month]
            .into_iter()
            .find(|it| period_word(*it) == per)?;
        let zone = zone.filter(|zone| *zone != "UTC").map(str::to_owned);
        Some(Self { scope: scope.to_owned(), per, zone })
    }

    /// Terms of a run that limits nothing itself.
    #[must_use]
    pub fn terms(&self) -> BudgetTerms {
        BudgetTerms {
            id: String::new(),
            scope: Some(self.scope.clone()),
            per: self.per,
            zone: self.zone.clone(),
            cost_micros: None,
            tokens: None,
            wall_ms: None,
            reserve_micros: 0,
            on_over: OnOver::Pause,
        }
    }
}

/// The word of a period in files, commands and names of streams.
pub(crate) fn period_word(per: Period) -> &'static str {
    match per {
        Period::Total => "total",
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
    }
}

pub(super) fn stream_of(scope: &str, per: Period, zone: Option<&str>) -> StreamId {
    // A counter that is named by its hash is called so by those who list it.
    let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(hash) = scope.strip_prefix('#').filter(|hash| is_hash(hash)) {
        return hashed_stream(hash, per, zone);
    }
    if scope.len() > PLAIN_BYTES_MAX || scope.chars().any(char::is_control) {
        return hashed_stream(&Hash::of(scope.as_bytes()).to_string(), per, zone);
    }
    named_stream(per, zone, &format!(":{scope}"))
}

fn hashed_stream(hash: &str, per: Period, zone: Option<&str>) -> StreamId {
    named_stream(per, zone, &format!("#{hash}"))
}

fn named_stream(per: Period, zone: Option<&str>, scope: &str) -> StreamId {
    let (name, zone) = (period_word(per), zone.unwrap_or("UTC"));
    let id = match per {
        Period::Total => format!("{name}{scope}"),
        Period::Day | Period::Week | Period::Month => format!("{name}@{zone}{scope}"),
    };
    StreamId { kind: StreamKind::Budget, id: id.into() }
}

impl OwnLimit {
    /// Whether it limits nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The terms of a run under these limits in place of its own.
    #[must_use]
    pub fn instead_of(&self, terms: &BudgetTerms) -> BudgetTerms {
        let Self { cost_micros, tokens, wall_ms } = *self;
        BudgetTerms { cost_micros, tokens, wall_ms, ..terms.clone() }
    }

    /// The terms of a run with the smaller limit of the two in each measure.
    #[must_use]
    pub fn within(&self, terms: &BudgetTerms) -> BudgetTerms {
        let smaller = |own: Option<u64>, other: Option<u64>| match (own, other) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (one, other) => one.or(other),
        };
        BudgetTerms {
            cost_micros: smaller(self.cost_micros, terms.cost_micros),
            tokens: smaller(self.tokens, terms.tokens),
            wall_ms: smaller(self.wall_ms, terms.wall_ms),
            ..terms.clone()
        }
    }
}

impl Counter {
    /// Whether the limits of a run and the counter's own have room for another piece of its paid work.
    ///
    /// # Errors
    /// What is used up.
    pub fn room(&self, terms: &BudgetTerms, used: &BudgetUse) -> Result<(), Measure> {
        room(terms, used)?;
        self.own().map_or(Ok(()), |own| room(&own.limit.instead_of(terms), used))
    }

    /// What is passed beyond a limit of a run or of the counter, if anything is.
    #[must_use]
    pub fn passed(&self, terms: &BudgetTerms, used: &BudgetUse) -> Option<Measure> {
        passed(terms, used).or_else(|| passed(&self.own()?.limit.instead_of(terms), used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_named_by_its_stream_and_its_stream_by_its_name() {
        let long = "x".repeat(200);
        for (scope, per, zone) in [
            ("team", Period::Total, None),
            ("team:a@b#c", Period::Month, Some("Europe/Berlin")),
            ("team", Period::Day, None),
            (long.as_str(), Period::Week, None),
        ] {
            let name = CounterName { scope: scope.to_owned(), per, zone: zone.map(str::to_owned) };
            let stream = name.stream();
            assert_eq!(Some(&stream), super::super::stream(&name.terms()).as_ref());
            let read = CounterName::of(&stream).unwrap();
            assert_eq!((read.per, &read.zone), (name.per, &name.zone), "{stream}");
            assert_eq!(read.stream(), stream);
            match scope.len() < PLAIN_BYTES_MAX {
                true => assert_eq!(read.scope, name.scope),
                false => assert!(read.scope.starts_with('#')),
            }
        }
    }
}

//! Runs in the order of a field of their rows.
//!
//! Law: the answer is that of a plain sort of the rows that were looked at: the newest of those that the indexes leave,
//! at most so many; the answer says how many these were and whether they were all. It is of one position, which later
//! parts of it ask for again: so no part repeats a run of another or misses one, whatever happens meanwhile.
//!
//! A row without the field comes last in both directions; of rows with the same value the newest comes first.

use std::cmp::Ordering;

use everfold_base::id::Position;
use everfold_base::time::Timestamp;
use everfold_core::event::SearchValue;
use serde::Serialize;

use super::fields::RUN_FIELDS;
use super::list::RunsView;
use super::look::LookReport;
use super::row::RunRow;
use super::run_filter::RunFilter;
use crate::filter::{FieldType, FilterRow as _, ROWS_MAX, ScanReport};
use crate::projection::FoldError;

/// What the owner of runs says of them, and no row.
const NOT_STORED: &str = "set_aside";

/// An order by a field of rows.
#[derive(Debug, Clone)]
pub struct RunSort {
    path: Vec<String>,
    holds: FieldType,
    is_descending: bool,
    rows_max: usize,
}

/// Why runs have no such order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SortError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

/// Part of a list in the order of a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SortedRuns {
    /// The runs.
    pub items: Vec<RunRow>,
    /// How many runs stand before the next part, if there is one; counts in this order at this position only.
    pub next: Option<u64>,
    /// The position that the list is of.
    pub position: Position,
    /// How many rows were sorted.
    pub sort: LookReport,
    /// How rows were looked at, where an expression was asked.
    pub scan: Option<ScanReport>,
}

/// What rows are sorted by.
#[derive(Debug, Clone, PartialEq)]
enum SortKey {
    Number(f64),
    /// In lower case: the case of letters is no order.
    Text(String),
}

impl SortKey {
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => one.total_cmp(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            // A field has one type; of attributes that runs of several pipelines have the numbers come first.
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

impl RunSort {
    /// The fields that runs are sorted by, beside `labels.KEY` and `search.NAME`.
    #[must_use]
    pub fn fields() -> Vec<&'static str> {
        RUN_FIELDS.sorting().into_iter().filter(|name| *name != NOT_STORED).collect()
    }

    /// An order as it is asked for: the name of a field, behind `-` where the largest come first.
    ///
    /// # Errors
    /// [`SortError`]: rows have no such field, or its values have no order.
    pub fn parse(text: &str) -> Result<Self, SortError> {
        let (is_descending, name) = match text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, text),
        };
        let path: Vec<String> = match name.strip_prefix("labels.") {
            Some(label) => vec!["labels".to_owned(), label.to_owned()],
            None => name.split('.').map(str::to_owned).collect(),
        };
        let holds = RUN_FIELDS.sorts_by(&path).filter(|_| name != NOT_STORED);
        let holds = holds.ok_or_else(|| Self::refused(text, name))?;
        Ok(Self { path, holds, is_descending, rows_max: ROWS_MAX })
    }

    fn refused(text: &str, name: &str) -> SortError {
        let names = Self::fields();
        let message = format!("“{text}” is no order of runs");
        let fields = format!(
            "an order is started or ended, or a field: {}, labels.KEY, search.NAME; with `-` before it the largest come first",
            names.join(", ")
        );
        let near =
            everfold_language::definition::similar(name, names.into_iter().chain(["started", "ended"]));
        let hint = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default() + &fields;
        SortError { message, hint }
    }

    /// The same with another bound of the rows that are sorted.
    #[must_use]
    pub fn within(self, rows_max: usize) -> Self {
        Self { rows_max: rows_max.max(1), ..self }
    }

    /// What a row is sorted by at a moment; `None`: it does not have the field.
    fn key(&self, row: &RunRow, now: Timestamp) -> Option<SortKey> {
        let (first, rest) = self.path.split_first()?;
        if let ("search", [name]) = (first.as_str(), rest) {
            return match row.shown.search.get(name)? {
                SearchValue::Text(text) => Some(SortKey::Text(text.to_lowercase())),
                SearchValue::Whole(whole) => Some(SortKey::Number(*whole as f64)),
                SearchValue::Number(number) => Some(SortKey::Number(number.get())),
                SearchValue::Time(Timestamp(millis)) => Some(SortKey::Number(*millis as f64)),
                SearchValue::Flag(flag) => Some(SortKey::Number(f64::from(u8::from(*flag)))),
                // A list has no order.
                SearchValue::Texts(_) => None,
            };
        }
        let value = row.fields(now, None).field(first);
        let value = rest.iter().try_fold(&value, |value, part| value.get(part))?;
        match self.holds {
            FieldType::Word(words) => {
                let place = words().iter().position(|word| value.as_str() == Some(word))?;
                Some(SortKey::Number(place as f64))
            }
            FieldType::Time => {
                let Timestamp(millis) = value.as_str()?.parse().ok()?;
                Some(SortKey::Number(millis as f64))
            }
            FieldType::Span => value.as_str()?.strip_suffix("ms")?.parse().ok().map(SortKey::Number),
            _number if value.is_number() => value.as_f64().map(SortKey::Number),
            _text => value.as_str().map(|text| SortKey::Text(text.to_lowercase())),
        }
    }

    fn order(&self, one: &(Option<SortKey>, u32), other: &(Option<SortKey>, u32)) -> Ordering {
        let by_value = match (&one.0, &other.0) {
            (Some(one), Some(other)) if self.is_descending => other.order(one),
            (Some(one), Some(other)) => one.order(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        by_value.then_with(|| other.1.cmp(&one.1))
    }
}

impl RunsView<'_> {
    /// The runs that fit in the order of a field, at most `limit` behind the first `skipped`; of a past position, as
    /// they were then. What still goes on has lasted up to `now`.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn sorted(
        &self,
        filter: &RunFilter,
        sort: &RunSort,
        skipped: u64,
        limit: usize,
        at: Option<Position>,
        now: Timestamp,
    ) -> Result<SortedRuns, FoldError> {
        let position = at.unwrap_or(self.snapshot.position());
        let at = Some(position);
        let mut keys = Vec::new();
        let (report, scan) = self.look(filter, sort.rows_max, Some(position), |number, row| {
            keys.push((sort.key(row, now), number));
        })?;
        keys.sort_unstable_by(|one, other| sort.order(one, other));
        let first = usize::try_from(skipped).unwrap_or(usize::MAX).min(keys.len());
        let last = first.saturating_add(limit).min(keys.len());
        let mut items = Vec::with_capacity(last - first);
        for (_, number) in &keys[first..last] {
            items.extend(self.row(*number, at)?);
        }
        let next = (last < keys.len()).then_some(last as u64);
        Ok(SortedRuns { items, next, position, sort: report, scan })
    }
}

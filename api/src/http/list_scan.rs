//! Lists whose rows an expression is asked of one by one, behind their other filters.
//!
//! Law: rows are read in parts, and an answer ends where a part ends, so that its cursor goes on exactly there. One answer
//! looks at so many rows at most, and ends before a part that the evaluations go over too much in.

use std::borrow::Borrow;

use everfold_engine::id::Position;
use everfold_projections::{FilterRow, Judged, RowFields, RowFilter, RowScan, ScanReport};
use serde::Serialize;
use serde_json::Value;

use super::app::App;
use super::filter::{FilteredPage, compiled, moment_of};
use crate::body::filter::FilterAnswer;
use crate::fault::{Code, Fault};

/// Rows that one answer looks at, but for the last part.
const LOOKED_AT_MAX: u64 = 2_000;
/// Rows of a part.
const PART: usize = 200;

/// Compiles the expression of a list that has one, for the present or the moment that `at` asks for.
pub(super) async fn expression(
    app: &App,
    source: Option<&str>,
    fields: &RowFields,
    at: (Option<&str>, Option<Position>),
) -> Result<Option<RowFilter>, Fault> {
    let Some(source) = source else { return Ok(None) };
    let now = moment_of(app, at.0, at.1).await?;
    compiled(source, fields, now).map(Some)
}

/// The filters of a list, with its expression where there is one: cursors without stay what they were.
pub(super) fn with_expression<'a>(
    filters: &[Option<&'a str>],
    expression: Option<&'a str>,
) -> Vec<Option<&'a str>> {
    filters.iter().copied().chain(expression.map(Some)).collect()
}

/// What a scan says of a row, by the row's JSON.
pub(super) fn judged<T: Serialize>(scan: &mut RowScan<'_>, row: &T) -> Result<Judged, Fault> {
    let json = serde_json::to_value(row)
        .map_err(|error| Fault::new(Code::Internal, format!("a row has no JSON: {error}")))?;
    Ok(scan.judge(&JsonRow(&json)))
}

/// The rows of one part are too many for what the evaluations may go over together.
fn too_much() -> Fault {
    Fault::new(Code::BadFilter, "filter: the expression goes over too many values for the rows of one answer")
        .hint("ask for fewer rows with `limit`, or for less of each")
}

/// A row by its JSON, as the list shows it.
pub(super) struct JsonRow<T>(pub(super) T);

impl<T: Borrow<Value>> FilterRow for JsonRow<T> {
    fn field(&self, name: &str) -> Value {
        let row: &Value = self.0.borrow();
        let dollars = || row["cost_usd"].as_str().and_then(|usd| usd.parse::<f64>().ok());
        match name {
            "cost" => dollars().into(),
            name => row.get(name).cloned().unwrap_or_default(),
        }
    }
}

/// The rows of an answer, as they are read.
pub(super) struct ListScan<'a, T> {
    items: Vec<T>,
    limit: usize,
    scan: Option<RowScan<'a>>,
}

impl<'a, T: Serialize> ListScan<'a, T> {
    pub(super) fn begin(filter: Option<&'a RowFilter>, limit: usize) -> Self {
        let scan = filter.map(|filter| RowScan::begin(filter, usize::MAX, Vec::new()));
        Self { items: Vec::new(), limit, scan }
    }

    /// How many rows are to be read next: none of those that fit is one too many.
    pub(super) fn wanted(&self) -> usize {
        let left = self.limit - self.items.len();
        if self.scan.is_some() { left.min(PART) } else { left }
    }

    /// Adds the rows of a part of which the expression is true; false: the part is left for the next answer.
    pub(super) fn add(&mut self, rows: Vec<T>) -> Result<bool, Fault> {
        let Some(scan) = &mut self.scan else {
            self.items.extend(rows);
            return Ok(true);
        };
        let (found_before, looked_at_before) = (self.items.len(), scan.looked_at());
        for row in rows {
            match judged(scan, &row)? {
                Judged::Fits => self.items.push(row),
                Judged::DoesNotFit => {}
                Judged::Later if looked_at_before > 0 => {
                    self.items.truncate(found_before);
                    return Ok(false);
                }
                Judged::Later => return Err(too_much()),
            }
        }
        Ok(true)
    }

    /// Whether another part is to be read, where there is one.
    pub(super) fn goes_on(&self) -> bool {
        let is_short = self.items.len() < (self.limit / 2).max(1);
        self.scan.as_ref().is_some_and(|scan| is_short && scan.looked_at() < LOOKED_AT_MAX)
    }

    /// Whether another part is to be read, where rows of parts may be few.
    pub(super) fn may_go_on(&self) -> bool {
        self.items.len() < self.limit && (self.scan.is_none() || self.goes_on())
    }

    /// What was found; `has_more` rows behind the last part that was read.
    pub(super) fn found(self, has_more: bool) -> FoundRows<T> {
        let is_short = self.items.len() < (self.limit / 2).max(1);
        let report = self.scan.map(|scan| ScanReport { more: is_short && has_more, ..scan.report() });
        FoundRows { items: self.items, report }
    }
}

/// The rows of an answer.
pub(super) struct FoundRows<T> {
    items: Vec<T>,
    report: Option<ScanReport>,
}

impl<T> FoundRows<T> {
    /// The answer.
    pub(super) fn page(self, next_cursor: Option<String>) -> FilteredPage<T> {
        FilteredPage { items: self.items, next_cursor, filter: self.report.map(FilterAnswer::from) }
    }
}

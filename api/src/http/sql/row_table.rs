//! A table of rows that come in parts.
//!
//! Law: a part is read when its rows are wanted, so that a query that ends early has read little.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use everfold_engine::id::RunId;
use everfold_engine::time::Timestamp;
use everfold_projections::FilterRow;
use everfold_sql::{
    ColumnLookup, ScanCondition, ScannedRows, SourceError, SqlCell, SqlColumn, SqlComparison, SqlRows,
    SqlTable, SqlType, SqlValue, TableScan,
};
use serde_json::Value;

use super::table_text::{ColumnText, TableText};
use crate::fault::{Code, Fault};

/// Rows of the first part; each has four times as many as the one before.
const PART: usize = 64;
/// Rows of a part at most, where nothing else is said.
const PART_MAX: usize = 2_000;
/// Values of `in` that an index is asked for together. Of more of them looking at each row costs less.
const INDEX_VALUES_MAX: usize = 1_000;

/// A row.
pub(super) trait TableRow {
    /// The value of a column.
    fn cell(&self, column: &ColumnText) -> Result<SqlCell<'_>, SourceError>;
}

impl<R: FilterRow> TableRow for R {
    fn cell(&self, column: &ColumnText) -> Result<SqlCell<'_>, SourceError> {
        let (root, rest) =
            column.path.split_once('.').map_or((column.path, None), |(root, rest)| (root, Some(rest)));
        let value = self.field(root);
        let value = match rest {
            Some(rest) => rest.split('.').try_fold(&value, |value, part| value.get(part)).cloned(),
            None => Some(value),
        };
        Ok(cell(value.unwrap_or_default(), column.of))
    }
}

/// Reads the next part, of about so many rows; none: there is no more.
pub(super) type PartReader = Box<dyn FnMut(usize) -> Result<Option<Vec<Box<dyn TableRow>>>, Fault>>;
/// Begins to read the rows that conditions leave.
pub(super) type PartsOpener = Box<dyn Fn(&Conditions<'_>) -> Result<PartReader, Fault> + Send + Sync>;

/// A table.
pub(super) struct RowTable {
    text: &'static TableText,
    columns: Arc<[SqlColumn]>,
    descends_by: Option<usize>,
    part_max: usize,
    open: PartsOpener,
}

impl RowTable {
    /// A table whose rows come in any order.
    pub(super) fn new(text: &'static TableText, open: PartsOpener) -> Self {
        let columns = text.columns.iter().map(|column| column.column()).collect();
        Self { text, columns, descends_by: None, part_max: PART_MAX, open }
    }

    /// The same whose rows come in the descending order of a column.
    pub(super) fn descending(self, column: &str) -> Self {
        Self { descends_by: Some(self.text.place(column)), ..self }
    }

    /// The same that is read in parts of so many rows at most.
    pub(super) fn in_parts_of(self, part_max: usize) -> Self {
        Self { part_max, ..self }
    }
}

impl SqlTable for RowTable {
    fn name(&self) -> &str {
        self.text.name
    }

    fn columns(&self) -> &[SqlColumn] {
        &self.columns
    }

    fn rows(&self) -> u64 {
        self.text.rows
    }

    fn descends_by(&self) -> Option<usize> {
        self.descends_by
    }

    fn scan(&self, scan: &TableScan) -> Result<ScannedRows, SourceError> {
        let asked = Conditions { text: self.text, all: &scan.conditions, by: RefCell::default() };
        let next = (self.open)(&asked)?;
        let rows = Box::new(PartRows {
            text: self.text,
            next: Some(next),
            part: Vec::new().into_iter(),
            row: None,
            size: PART,
            size_max: self.part_max,
        });
        Ok(ScannedRows { rows, by: asked.by.into_inner().into_iter().collect() })
    }
}

/// What must be true of the rows.
///
/// Law: a table that reads the condition of a column here finds its rows by it: the answer names that column then.
pub(super) struct Conditions<'a> {
    text: &'static TableText,
    all: &'a [ScanCondition],
    /// The columns that rows are found by.
    by: RefCell<BTreeSet<usize>>,
}

impl<'a> Conditions<'a> {
    fn of(&self, place: usize) -> impl Iterator<Item = &'a ScanCondition> {
        self.all.iter().filter(move |condition| condition.column == place)
    }

    fn equal(&self, place: usize) -> Option<&'a [SqlValue]> {
        let mut equal = self.of(place).filter(|condition| condition.how == SqlComparison::Equal);
        equal.next().map(|condition| condition.values.as_slice())
    }

    /// Whether a column must equal one of some values. Rows need not be found by it.
    pub(super) fn has(&self, column: &str) -> bool {
        self.equal(self.text.place(column)).is_some()
    }

    /// The values that a column must equal one of, where they are so many at most.
    fn values(&self, column: &str, max: usize) -> Option<&'a [SqlValue]> {
        let place = self.text.place(column);
        let values = self.equal(place).filter(|values| values.len() <= max)?;
        self.by.borrow_mut().insert(place);
        Some(values)
    }

    /// What an index is asked for of a column, one of these; empty: anything. None: no row has what the column must equal.
    pub(super) fn one_of<T>(&self, column: &str, read: impl Fn(&SqlValue) -> Option<T>) -> Option<Vec<T>> {
        let Some(values) = self.values(column, INDEX_VALUES_MAX) else { return Some(Vec::new()) };
        let found: Vec<T> = values.iter().filter_map(read).collect();
        (!found.is_empty()).then_some(found)
    }

    /// The text that a column must equal; none where it may be one of several.
    pub(super) fn text(&self, column: &str) -> Option<&'a str> {
        self.values(column, 1)?.first()?.as_text()
    }

    /// The texts that a column must equal one of.
    pub(super) fn texts(&self, column: &str) -> Option<Vec<&'a str>> {
        let values = self.values(column, usize::MAX)?;
        Some(values.iter().filter_map(SqlValue::as_text).collect())
    }

    /// The runs that a column must name one of, as rows write them; others have no rows.
    pub(super) fn runs(&self, column: &str) -> Option<Vec<RunId>> {
        Some(self.values(column, usize::MAX)?.iter().filter_map(run).collect())
    }

    /// The earliest time that a column may have.
    pub(super) fn since(&self, column: &str) -> Option<Timestamp> {
        let place = self.text.place(column);
        let lower = self.of(place).filter(|condition| {
            matches!(
                condition.how,
                SqlComparison::Equal | SqlComparison::Greater | SqlComparison::GreaterOrEqual
            )
        });
        let earliest = |condition: &ScanCondition| {
            condition.values.iter().map(|value| earliest(value.as_text()?)).min()?
        };
        let since = lower.filter_map(earliest).max()?;
        self.by.borrow_mut().insert(place);
        Some(since)
    }

    /// The whole numbers from 1 on that a column may have.
    pub(super) fn numbers(&self, column: &str) -> RangeInclusive<u64> {
        let (place, mut first, mut last) = (self.text.place(column), 1, i64::MAX);
        for condition in self.of(place) {
            let numbers = || condition.values.iter().filter_map(SqlValue::as_integer);
            let (Some(lowest), Some(highest)) = (numbers().min(), numbers().max()) else { continue };
            match condition.how {
                SqlComparison::Equal => (first, last) = (first.max(lowest), last.min(highest)),
                SqlComparison::Greater => first = first.max(lowest.saturating_add(1)),
                SqlComparison::GreaterOrEqual => first = first.max(lowest),
                SqlComparison::Less => last = last.min(highest.saturating_sub(1)),
                SqlComparison::LessOrEqual => last = last.min(highest),
            }
            self.by.borrow_mut().insert(place);
        }
        first.unsigned_abs()..=last.max(0).unsigned_abs()
    }
}

/// The run that a value names, as rows write it.
pub(super) fn run(value: &SqlValue) -> Option<RunId> {
    let text = value.as_text()?;
    text.parse().ok().filter(|run: &RunId| run.to_string() == text)
}

/// A value as a text of its own.
pub(super) fn owned_text(value: &SqlValue) -> Option<String> {
    value.as_text().map(str::to_owned)
}

/// The first moment of a written one, which may be cut off behind any of its parts; none: it is cut off within one.
fn earliest(text: &str) -> Option<Timestamp> {
    const FIRST: &str = "0000-01-01T00:00:00.000Z";
    let is_whole = [4, 7, 10, 13, 16, 19, 23, 24].contains(&text.len());
    is_whole.then(|| format!("{text}{}", &FIRST[text.len()..]).parse().ok())?
}

/// The rows of a table.
struct PartRows {
    text: &'static TableText,
    /// None: there are no more parts.
    next: Option<PartReader>,
    part: std::vec::IntoIter<Box<dyn TableRow>>,
    row: Option<Box<dyn TableRow>>,
    /// Rows of the next part.
    size: usize,
    size_max: usize,
}

impl SqlRows for PartRows {
    fn advance(&mut self) -> Result<bool, SourceError> {
        loop {
            self.row = self.part.next();
            if self.row.is_some() {
                return Ok(true);
            }
            let Some(next) = &mut self.next else { return Ok(false) };
            match next(self.size)? {
                Some(rows) => self.part = rows.into_iter(),
                None => self.next = None,
            }
            self.size = (self.size * 4).min(self.size_max);
        }
    }

    fn cell(&self, column: usize) -> Result<SqlCell<'_>, SourceError> {
        let (Some(row), Some(column)) = (&self.row, self.text.columns.get(column)) else {
            return Ok(SqlCell::Null);
        };
        if column.lookup == ColumnLookup::Argument {
            return Ok(SqlCell::Null);
        }
        row.cell(column)
    }
}

/// A value of a row as a cell.
fn cell(value: Value, of: SqlType) -> SqlCell<'static> {
    match (value, of) {
        (Value::Null, _) => SqlCell::Null,
        (value, SqlType::Json) => SqlCell::Text(Cow::Owned(value.to_string())),
        (Value::Bool(flag), _) => SqlCell::Integer(i64::from(flag)),
        (Value::Number(number), SqlType::Real) => number.as_f64().map_or(SqlCell::Null, SqlCell::Real),
        (Value::Number(number), _) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => SqlCell::Integer(whole),
            // Beyond what SQLite's whole numbers hold.
            (None, Some(number)) => SqlCell::Real(number),
            (None, None) => SqlCell::Null,
        },
        // A duration: `1500ms`.
        (Value::String(text), SqlType::Integer) => {
            text.strip_suffix("ms").and_then(|ms| ms.parse().ok()).map_or(SqlCell::Null, SqlCell::Integer)
        }
        // An amount: `1.250000`.
        (Value::String(text), SqlType::Real) => text.parse().map_or(SqlCell::Null, SqlCell::Real),
        (Value::String(text), _) => SqlCell::Text(Cow::Owned(text)),
        (nested, _) => SqlCell::Text(Cow::Owned(nested.to_string())),
    }
}

/// The rows of a part from things that have a JSON.
pub(super) fn json_rows<T: serde::Serialize>(items: Vec<T>) -> Result<Vec<Box<dyn TableRow>>, Fault> {
    let row = |item: T| -> Result<Box<dyn TableRow>, Fault> {
        let json = serde_json::to_value(item)
            .map_err(|error| Fault::new(Code::Internal, format!("a row has no JSON: {error}")))?;
        Ok(Box::new(crate::http::list_scan::JsonRow(json)))
    };
    items.into_iter().map(row).collect()
}

/// No rows.
pub(super) fn nothing() -> PartReader {
    Box::new(|_| Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_moment_of_a_written_one_is_never_behind_a_moment_that_the_text_is_before() {
        let moment = |text: &str| text.parse::<Timestamp>().ok();
        assert_eq!(earliest("2026"), moment("2026-01-01T00:00:00Z"));
        assert_eq!(earliest("2026-11-20T09"), moment("2026-11-20T09:00:00Z"));
        assert_eq!(earliest("2026-11-20T09:30:15.250Z"), moment("2026-11-20T09:30:15.250Z"));
        assert_eq!(earliest("2026-11-20T09:30:15.250"), moment("2026-11-20T09:30:15.250Z"));
        for within in ["2026-1", "2026-11-2", "2026-11-20T09:", "2026-13", "2026-02-31"] {
            assert_eq!(earliest(within), None, "{within}");
        }
    }
}

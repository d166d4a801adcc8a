//! A table of rows that come in parts.
//!
//! Law: a part is read when its rows are wanted, so that a query that ends early has read little.

use std::borrow::Cow;
use std::sync::Arc;

use everfold_engine::id::RunId;
use everfold_engine::time::Timestamp;
use everfold_projections::FilterRow;
use everfold_sql::{
    ColumnLookup, ScanCondition, SourceError, SqlCell, SqlColumn, SqlComparison, SqlRows, SqlTable, SqlType,
    SqlValue, TableScan,
};
use serde_json::Value;

use super::table_text::{ColumnText, TableText};
use crate::fault::{Code, Fault};

/// Rows of the first part; each has four times as many as the one before.
const PART: usize = 64;
/// Rows of a part at most, where nothing else is said.
const PART_MAX: usize = 2_000;

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

    fn scan(&self, scan: &TableScan) -> Result<Box<dyn SqlRows>, SourceError> {
        let next = (self.open)(&Conditions { text: self.text, all: &scan.conditions })?;
        Ok(Box::new(PartRows {
            text: self.text,
            next: Some(next),
            part: Vec::new().into_iter(),
            row: None,
            size: PART,
            size_max: self.part_max,
        }))
    }
}

/// What must be true of the rows.
pub(super) struct Conditions<'a> {
    text: &'static TableText,
    all: &'a [ScanCondition],
}

impl<'a> Conditions<'a> {
    fn of(&self, column: &str) -> impl Iterator<Item = &'a ScanCondition> {
        let place = self.text.place(column);
        self.all.iter().filter(move |condition| condition.column == place)
    }

    /// The values that a column must equal one of.
    pub(super) fn values(&self, column: &str) -> Option<&'a [SqlValue]> {
        let mut equal = self.of(column).filter(|condition| condition.how == SqlComparison::Equal);
        equal.next().map(|condition| condition.values.as_slice())
    }

    /// The texts that a column must equal one of.
    pub(super) fn texts(&self, column: &str) -> Option<Vec<&'a str>> {
        self.values(column).map(|values| values.iter().filter_map(SqlValue::as_text).collect())
    }

    /// The text that a column must equal; none where it may be one of several.
    pub(super) fn text(&self, column: &str) -> Option<&'a str> {
        match self.texts(column)?.as_slice() {
            [one] => Some(one),
            _several => None,
        }
    }

    /// The runs that a column must name one of, as rows write them; others have no rows.
    pub(super) fn runs(&self, column: &str) -> Option<Vec<RunId>> {
        let is_run = |text: &str| text.parse().ok().filter(|run: &RunId| run.to_string() == text);
        let texts = self.texts(column)?;
        Some(texts.into_iter().filter_map(is_run).collect())
    }

    /// The earliest time that a column may have.
    pub(super) fn since(&self, column: &str) -> Option<Timestamp> {
        let lower = self.of(column).filter(|condition| {
            matches!(
                condition.how,
                SqlComparison::Equal | SqlComparison::Greater | SqlComparison::GreaterOrEqual
            )
        });
        let earliest = |condition: &ScanCondition| {
            condition.values.iter().map(|value| earliest(value.as_text()?)).min()?
        };
        lower.filter_map(earliest).max()
    }

    /// The lowest whole number that a column may have.
    pub(super) fn lowest(&self, column: &str) -> Option<u64> {
        let number = |value: &SqlValue| match value {
            SqlValue::Integer(number) => u64::try_from(*number).ok(),
            SqlValue::Text(_) => None,
        };
        let lower = self.of(column).filter_map(|condition| match condition.how {
            SqlComparison::Equal | SqlComparison::Greater | SqlComparison::GreaterOrEqual => {
                condition.values.iter().map(number).min()?
            }
            SqlComparison::Less | SqlComparison::LessOrEqual => None,
        });
        lower.max()
    }
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

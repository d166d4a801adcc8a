//! A table as a program offers it, and its rows.

use std::borrow::Cow;
use std::error::Error;

use crate::column::{SqlColumn, SqlComparison};

/// Why a table cannot be read: the program's own error, handed on as it is.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// A value that a column is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlValue {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
}

impl SqlValue {
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(_) => None,
        }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Text(_) => None,
            Self::Integer(number) => Some(*number),
        }
    }
}

/// The value of a column in a row.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlCell<'a> {
    /// The row does not have it.
    Null,
    /// A whole number; 1 or 0 for true or false.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// A text, or JSON as text.
    Text(Cow<'a, str>),
}

/// What must be true of a column in the rows that are read.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanCondition {
    /// Which column, by its place in [`SqlTable::columns`].
    pub column: usize,
    /// How it is compared.
    pub how: SqlComparison,
    /// With one of these; several only where it must equal one of them, and the table has an order
    /// ([`SqlTable::descends_by`]) or finds nothing by the column.
    pub values: Vec<SqlValue>,
}

/// How a table is read once. SQLite checks each condition again: rows too many are no fault, a missing one is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableScan {
    /// All of them must be true; they are those that [`SqlColumn::lookup`] takes, and of times all comparisons.
    pub conditions: Vec<ScanCondition>,
}

/// The rows of a table that is read once, and how they are found.
pub struct ScannedRows {
    /// The rows.
    pub rows: Box<dyn SqlRows>,
    /// The columns by whose conditions they are found, by their places; the other conditions were not looked at.
    pub by: Vec<usize>,
}

/// A table.
pub trait SqlTable: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// Its columns.
    fn columns(&self) -> &[SqlColumn];

    /// About how many rows it has, for SQLite to choose what to read first.
    fn rows(&self) -> u64;

    /// The column in whose descending order all rows come. Such a table is read once for all values of `IN`, any other one for
    /// each.
    fn descends_by(&self) -> Option<usize> {
        None
    }

    /// Begins to read it. Rows are taken one by one, often not to the end.
    ///
    /// # Errors
    /// It cannot be read, or not by these values.
    fn scan(&self, scan: &TableScan) -> Result<ScannedRows, SourceError>;
}

/// The rows of a table, one after the other.
pub trait SqlRows {
    /// Goes on to the next row, at first to the first one; false: there is none.
    ///
    /// # Errors
    /// It cannot be read.
    fn advance(&mut self) -> Result<bool, SourceError>;

    /// The value of a column in the row, by the column's place.
    ///
    /// # Errors
    /// It cannot be read.
    fn cell(&self, column: usize) -> Result<SqlCell<'_>, SourceError>;
}

/// How a table was read for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReads {
    /// The table.
    pub table: String,
    /// The columns by which rows were found.
    pub by: Vec<String>,
    /// How often it was read so.
    pub scans: u64,
    /// How many rows were read, all times together.
    pub rows: u64,
}

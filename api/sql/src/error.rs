//! Why a query has no answer.

use std::fmt;

use crate::table::SourceError;

/// A place in a query's text, counted in characters from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlPlace {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl SqlPlace {
    /// The place of a byte of the text.
    pub(crate) fn of(sql: &str, offset: usize) -> Self {
        let mut end = offset.min(sql.len());
        while !sql.is_char_boundary(end) {
            end -= 1;
        }
        let before = &sql[..end];
        Self {
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
        }
    }
}

impl fmt::Display for SqlPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What a name was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKind {
    /// A table.
    Table,
    /// A column.
    Column,
    /// A function.
    Function,
}

impl UnknownKind {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Column => "column",
            Self::Function => "function",
        }
    }
}

/// What a query asks for that is no reading of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAllowed {
    /// To do something else than to read: `PRAGMA`, `ATTACH`, `INSERT`.
    Statement(String),
    /// A function that queries do not have.
    Function(String),
    /// A table of SQLite's own.
    Table(String),
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Statement(what) => write!(f, "only reading is allowed, by one SELECT; {what} does more"),
            Self::Function(name) => write!(f, "queries do not have the function “{name}”"),
            Self::Table(name) => write!(f, "“{name}” is none of the tables"),
        }
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// It is no SQL, or none that can be answered.
    #[error("{}{message}", at(*place))]
    Invalid {
        /// What is wrong, in SQLite's words.
        message: String,
        /// Where.
        place: Option<SqlPlace>,
    },
    /// It names what there is not.
    #[error("{}there is no {} “{name}”", at(*place), kind.word())]
    Unknown {
        /// What it was taken for.
        kind: UnknownKind,
        /// The name, as it is written.
        name: String,
        /// Where.
        place: Option<SqlPlace>,
    },
    /// It asks for more than to read the tables.
    #[error("{0}")]
    NotAllowed(NotAllowed),
    /// It holds no statement, or a NUL.
    #[error("{0}")]
    NoStatement(&'static str),
    /// It holds several statements.
    #[error("{place}: a query is one statement, and another one begins here")]
    Several {
        /// Where the second one begins.
        place: SqlPlace,
    },
    /// Its text is too long.
    #[error("the query has {bytes} bytes; it may have {max}")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// It is nested too deep, or has too many parts.
    #[error("the query is too large: {0}")]
    TooLarge(String),
    /// A value in it became too long.
    #[error("a value has more than {max} bytes")]
    ValueTooLong {
        /// How long values may be.
        max: usize,
    },
    /// It took too long.
    #[error("the query took too long and was stopped")]
    OverTime,
    /// It holds too much.
    #[error("the query would hold more memory than queries may, {max} bytes together")]
    OverMemory {
        /// How much that is.
        max: u64,
    },
    /// A moment is written otherwise than the columns of times have it.
    #[error("“{text}” is compared with `{column}`, whose times are written as 2026-11-20T09:00:00.000Z")]
    NoTime {
        /// What it is compared with.
        text: String,
        /// The column.
        column: String,
    },
    /// A table could not be read.
    #[error("the table `{table}` cannot be read: {source}")]
    Table {
        /// Which one.
        table: String,
        /// The program's own error.
        source: SourceError,
    },
    /// Something failed that cannot fail.
    #[error("SQLite: {0}")]
    Internal(#[from] rusqlite::Error),
}

fn at(place: Option<SqlPlace>) -> String {
    place.map(|place| format!("{place}: ")).unwrap_or_default()
}

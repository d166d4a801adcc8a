//! The columns of tables: their types, and what is found by them.

use std::borrow::Cow;

use crate::time_order::TIME_ORDER;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlType {
    /// A text.
    Text,
    /// A moment as text: `2026-11-20T09:00:00.000Z`. Such texts have the order of the moments.
    Time,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Real,
    /// 1 or 0; `true` or `false` in answers.
    Boolean,
    /// JSON as text, for SQLite's JSON functions; a value in answers.
    Json,
}

impl SqlType {
    const ALL: [Self; 6] = [Self::Text, Self::Time, Self::Integer, Self::Real, Self::Boolean, Self::Json];

    /// The type as the table's declaration has it. SQLite compares what is declared with `TEXT` in the name as text.
    pub(crate) fn declared(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Time => "TIME_TEXT",
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Boolean => "BOOLEAN",
            Self::Json => "JSON_TEXT",
        }
    }

    /// The order in which SQLite compares its texts.
    pub(crate) fn order(self) -> &'static str {
        match self {
            Self::Time => TIME_ORDER,
            Self::Text | Self::Integer | Self::Real | Self::Boolean | Self::Json => "BINARY",
        }
    }

    pub(crate) fn of_declared(declared: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.declared() == declared)
    }

    /// In a word, as descriptions of tables name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Time => "time",
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Boolean => "boolean",
            Self::Json => "json",
        }
    }

    /// Whether values are compared as texts.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Time | Self::Json)
    }
}

/// How a column is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SqlComparison {
    /// `=`, `IN`.
    Equal,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
}

impl SqlComparison {
    pub(crate) const ALL: [Self; 5] =
        [Self::Equal, Self::Greater, Self::GreaterOrEqual, Self::Less, Self::LessOrEqual];

    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }
}

/// How rows are found by a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnLookup {
    /// Each row is looked at.
    EachRow,
    /// A value has one row at most.
    Key,
    /// An index finds the rows with a value.
    Index,
    /// Rows are read from a value on, and up to one.
    Range,
    /// Rows are read from a value on.
    From,
    /// The argument of the table, `events('@')`: a hidden column, which shows what was given.
    Argument,
}

impl ColumnLookup {
    /// Whether the table takes such a comparison.
    pub(crate) fn takes(self, how: SqlComparison) -> bool {
        match self {
            Self::EachRow => false,
            Self::Key | Self::Index | Self::Argument => how == SqlComparison::Equal,
            Self::Range => true,
            Self::From => !matches!(how, SqlComparison::Less | SqlComparison::LessOrEqual),
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct SqlColumn {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it holds.
    pub of: SqlType,
    /// How rows are found by it.
    pub lookup: ColumnLookup,
    /// About how many values it has in all rows, for SQLite to choose what to read first; none: one row in twenty has a
    /// value; 1: rows are found by it beside another column alone.
    pub values: Option<u64>,
    /// Whether it belongs to what names a row; these are never null.
    pub names_row: bool,
    /// What it is, for readers.
    pub about: Cow<'static, str>,
}

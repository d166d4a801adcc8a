//! What a table and its columns are called, what they hold, and how rows are found by them.

use everfold_sql::{ColumnLookup, SqlColumn, SqlType};

/// A column.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct ColumnText {
    pub(in crate::http) name: &'static str,
    /// Where it stands in the row's JSON: `failure.code`.
    pub(super) path: &'static str,
    pub(in crate::http) of: SqlType,
    pub(in crate::http) lookup: ColumnLookup,
    /// About how many values it has; none: that is not known; 1: rows are found by it beside another column alone.
    pub(super) values: Option<u64>,
    pub(super) names_row: bool,
    pub(in crate::http) about: &'static str,
}

/// A table.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct TableText {
    pub(in crate::http) name: &'static str,
    pub(in crate::http) about: &'static str,
    /// The list of REST that has the same rows.
    pub(in crate::http) route: &'static str,
    /// About how many rows there are, for SQLite to choose what to read first.
    pub(super) rows: u64,
    pub(in crate::http) columns: &'static [ColumnText],
}

impl ColumnText {
    /// A column that is called as its field.
    pub(super) const fn new(name: &'static str, of: SqlType, about: &'static str) -> Self {
        Self { name, path: name, of, lookup: ColumnLookup::EachRow, values: None, names_row: false, about }
    }

    /// The same of a field with another name.
    pub(super) const fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// The same by which rows are found.
    pub(super) const fn found_by(self, lookup: ColumnLookup) -> Self {
        Self { lookup, ..self }
    }

    /// The same with about so many values.
    pub(super) const fn of_values(self, values: u64) -> Self {
        Self { values: Some(values), ..self }
    }

    /// The same that has a use beside another column alone.
    pub(super) const fn beside_another(self) -> Self {
        Self { values: Some(1), ..self }
    }

    /// The same as a part of what names a row.
    pub(super) const fn named(self) -> Self {
        Self { names_row: true, ..self }
    }

    pub(super) fn column(&self) -> SqlColumn {
        SqlColumn {
            name: self.name.into(),
            of: self.of,
            lookup: self.lookup,
            values: self.values,
            names_row: self.names_row,
            about: self.about.into(),
        }
    }

    /// How rows are found by it, in a word.
    pub(in crate::http) fn found_word(&self) -> Option<&'static str> {
        match self.lookup {
            ColumnLookup::EachRow => None,
            ColumnLookup::Key => Some("key"),
            ColumnLookup::Index => Some("index"),
            ColumnLookup::Range => Some("range"),
            ColumnLookup::From => Some("from"),
            ColumnLookup::Argument => Some("argument"),
        }
    }
}

impl TableText {
    /// The place of a column.
    pub(super) fn place(&self, name: &str) -> usize {
        self.columns.iter().position(|column| column.name == name).unwrap_or(usize::MAX)
    }
}

//! One SELECT over tables that a program offers, answered by SQLite: nothing is copied into a database, and nothing but
//! these tables can be read.
//!
//! Law: a query reads, and only what it is offered. It writes nothing, opens no file, and ends: its time, its memory,
//! the rows and bytes of its answer, the length of its values, and its depth are bounded. This crate knows no run, no
//! clock and no thread.
//!
//! [`SqlQuery`] (`query`) is where to begin: it opens a database in memory for one query, registers the tables, and steps
//! through the answer. [`SqlTable`] (`table`) is what a program implements, by columns (`column`). `scan_plan` says how a
//! table is to be read, `virtual_table` hands that on to SQLite and is the one file with `unsafe` in it. `permit` refuses
//! whatever is no reading, `functions` replaces functions of SQLite whose time is not bounded, `quantiles` adds aggregates, `time_order` compares times, `limits` and `error` are
//! what their names say.

mod column;
mod error;
mod functions;
mod limits;
mod permit;
mod quantiles;
mod query;
mod scan_plan;
mod table;
mod time_order;
mod virtual_table;

pub use column::{ColumnLookup, SqlColumn, SqlComparison, SqlType};
pub use error::{NotAllowed, SqlError, SqlPlace, UnknownKind};
pub use functions::SqlFunction;
pub use limits::{BoundReached, SqlLimits};
pub use permit::FUNCTIONS;
pub use query::{AnswerColumn, SqlAnswer, SqlQuery};
pub use table::{
    ScanCondition, ScannedRows, SourceError, SqlCell, SqlRows, SqlTable, SqlValue, TableReads, TableScan,
};

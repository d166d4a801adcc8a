//! Lists that are asked for by an expression over the fields of their rows.
//!
//! Law: an expression is read and checked before a row is; what an index answers is looked at once more row by row, so
//! that the answer is that of a plain scan. How many rows one answer looks at is bounded.
//!
//! [`field`] is the table of a list's fields, [`row_filter`] an expression over them, [`scan`] its way through rows,
//! [`state_question`] one over the state of a run.

mod field;
mod row_filter;
mod scan;
mod state_question;

pub use field::{Field, FieldType, RowFields};
pub use row_filter::{FilterError, FilterRow, RowFilter};
pub use scan::{Judged, ROWS_MAX, RowScan, ScanReport};
pub use state_question::{AskedName, StateAnswer, StateQuestion};

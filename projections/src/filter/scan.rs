//! The way of a filter through the rows of one answer.
//!
//! Law: how many rows are looked at, and what the evaluations go over, is bounded by counts and never by a clock; an
//! answer that reaches a bound goes on where it ended.

use everfold_language::expr::Allowance;
use serde::Serialize;

use super::row_filter::{FilterRow, RowFilter};

/// Rows that one answer looks at, unless less is asked for.
pub const ROWS_MAX: usize = 20_000;

/// How an answer came about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScanReport {
    /// The fields that an index answered for, sorted; of the rows that it left each was looked at.
    pub by_index: Vec<String>,
    /// Rows that were looked at.
    pub looked_at: u64,
    /// Looking ended at its bound: there may be more rows, from the cursor on.
    pub more: bool,
    /// Rows of which the expression is neither true nor false, as `title.contains('x')` of one without a title.
    pub undecided: u64,
    /// Why, of the first of these.
    pub undecided_why: Option<String>,
}

/// What a scan says of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// The expression is true of it.
    Fits,
    /// It is not, or neither true nor false.
    DoesNotFit,
    /// The bound is reached: the row is not looked at now.
    Later,
}

/// A filter on its way through rows.
pub struct RowScan<'a> {
    filter: &'a RowFilter,
    allowance: Allowance,
    rows_max: u64,
    is_over: bool,
    report: ScanReport,
}

impl<'a> RowScan<'a> {
    /// Begins a scan that looks at so many rows at most; `by_index` are the fields that an index answered for.
    #[must_use]
    pub fn begin(filter: &'a RowFilter, rows_max: usize, by_index: Vec<String>) -> Self {
        let report = ScanReport { by_index, ..ScanReport::default() };
        let rows_max = rows_max.max(1) as u64;
        Self { filter, allowance: Allowance::of_rows(), rows_max, is_over: false, report }
    }

    /// Whether another row may be looked at.
    pub(crate) fn has_room(&mut self) -> bool {
        self.report.more = self.is_over || self.report.looked_at == self.rows_max;
        !self.report.more
    }

    /// Looks at a row.
    pub fn judge(&mut self, row: &dyn FilterRow) -> Judged {
        if !self.has_room() {
            return Judged::Later;
        }
        let judged = self.filter.is_true_of(row, &self.allowance);
        self.is_over = self.allowance.is_spent();
        // One that an allowance of its own does not suffice for is undecided.
        if judged.is_err() && self.is_over && self.report.looked_at > 0 {
            self.report.more = true;
            return Judged::Later;
        }
        self.report.looked_at += 1;
        match judged {
            Ok(true) => Judged::Fits,
            Ok(false) => Judged::DoesNotFit,
            Err(why) => {
                self.report.undecided += 1;
                self.report.undecided_why.get_or_insert(why);
                Judged::DoesNotFit
            }
        }
    }

    /// How many rows were looked at.
    #[must_use]
    pub fn looked_at(&self) -> u64 {
        self.report.looked_at
    }

    /// How the answer came about.
    #[must_use]
    pub fn report(self) -> ScanReport {
        self.report
    }
}

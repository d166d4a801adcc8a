//! What an answer says of the expression that it was asked by.

use everfold_projections::ScanReport;
use serde::{Deserialize, Serialize};

/// How an expression found the rows of an answer.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = FilterAnswer)]
pub(crate) struct FilterAnswer {
    /// The fields that an index answered for; of the rows that it left each was looked at.
    by_index: Vec<String>,
    /// Rows that were looked at for this part of the list.
    looked_at: u64,
    /// Looking ended at its bound: `next_cursor` goes on exactly there. In the order of a field it does not: no part of
    /// the list has the rows behind the bound.
    more: bool,
    /// Rows that are left out because the expression is neither true nor false of them. Null: there are none.
    pub(crate) undecided: Option<UndecidedRows>,
}

/// Rows of which an expression is neither true nor false.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = UndecidedRows)]
pub(crate) struct UndecidedRows {
    /// How many.
    pub(crate) rows: u64,
    /// Why, of the first.
    pub(crate) why: String,
}

impl From<ScanReport> for FilterAnswer {
    fn from(report: ScanReport) -> Self {
        let ScanReport { by_index, looked_at, more, undecided, undecided_why } = report;
        let undecided = undecided_why.map(|why| UndecidedRows { rows: undecided, why });
        Self { by_index, looked_at, more, undecided }
    }
}

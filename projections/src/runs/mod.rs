//! The read model `runs`: every run as lists and boards show it, now and at any past position.
//!
//! Law: what a list reads grows with what it shows, not with the number of runs; a row of the past is
//! read from the row's own history and never folded.
//!
//! Rows are numbered in the order in which they became visible. [`row`] and [`row_state`] are a row as it is returned,
//! [`row_json`] its JSON. [`record`] folds one row, with what the run is doing ([`activity`], [`stops`], [`funding`])
//! [`step_counts`] among it, and its [`row_history`]. [`fold`] keeps all rows, [`packed_rows`] stores those of ended runs, [`index_terms`] are
//! the indexes, [`windows`] caches lookups by id, [`list`] and [`board`] answer queries: [`run_filter`]
//! says which runs are wanted, by simple conditions and by an expression over [`fields`], of which [`plan`] takes what indexes answer. [`sorted`] lists them in the order of
//! a field, [`grouped`] sums them up by fields; both [`look`] at so many rows at most. [`scan`] gives all of them as they are
//! stored ([`stored_row`]): SQL reads a few columns of many rows.

mod activity;
mod awaited_action;
mod board;
mod fields;
mod fold;
mod funding;
mod grouped;
mod index_terms;
mod list;
mod look;
mod packed_rows;
mod pause_notes;
mod plan;
mod record;
mod row;
mod row_history;
mod row_json;
mod row_part;
mod row_reader;
mod row_state;
mod run_filter;
mod scan;
mod sorted;
mod step_counts;
mod stops;
mod stored_row;
mod windows;

pub use awaited_action::{AwaitedAction, AwaitedActionKind};
pub use board::{Board, Column, GroupBy};
pub use fields::{RUN_FIELDS, RunFields};
pub use fold::RunsModel;
pub use grouped::{GroupedRuns, GroupingError, RunFigures, RunGroup, RunGrouping};
pub use list::{RunCounts, RunOrder, RunPage, RunsView};
pub use look::LookReport;
pub use row::{RowStepCounts, RunRow};
pub use row_state::{RowFailure, RowParent, RowState, RowUsage, STATUSES as RUN_STATUSES};
pub use run_filter::{RunExpression, RunFilter};
pub use scan::RunScan;
pub use sorted::{RunSort, SortError, SortedRuns};
pub use step_counts::StepCounts;
pub use stored_row::{FieldValue, StoredRow};

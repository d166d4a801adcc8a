//! `/`: the board, which says what needs somebody, now or at any former moment; and the table of the same runs.
//!
//! To begin with: `routes.rs` lists the pages; `query.rs` and `filter.rs` are what an address asks for; `columns.rs`
//! reads the board, `row.rs` is a run on it, `time_bar.rs` the bar below it.

mod columns;
mod completions;
mod counts;
mod csv;
mod filter;
mod moment;
mod moment_page;
mod page;
mod query;
mod refused;
mod routes;
mod row;
mod search;
mod steps;
mod steps_bar;
mod table;
mod time_bar;

pub(crate) use columns::{By, run_path};
pub(crate) use filter::RunFilter;
pub(crate) use moment::{WrittenMoment, shortest, zone};
pub(crate) use routes::routes;
pub(crate) use row::{RunList, RunRow, visible};
pub(crate) use search::RunAttribute;
pub(crate) use steps::{PipelineSteps, pipelines};
pub(crate) use table::{COLUMNS, TableQuery, is_number};
pub(crate) use time_bar::SPANS;

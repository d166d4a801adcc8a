//! The read model `runs`: every run as lists and boards show it, now and at any past position.
//!
//! Law: what a list reads grows with what it shows, not with the number of runs; a row of the past is
//! read from the run's own marks and folded from nothing.
//!
//! Rows are numbered in the order in which they became visible. [`record`] is a run's row with its past,
//! [`fold`] keeps them, [`pack`] packs them when they have ended, [`terms`] are its indexes, [`list`] and [`board`] ask,
//! [`told`] is what they answer in JSON.

mod board;
mod fold;
mod list;
mod marks;
mod pack;
mod record;
mod shorts;
mod terms;
mod told;
mod windows;

pub use board::{Board, Column, GroupBy};
pub use fold::Runs;
pub use list::{RunCounts, RunFilter, RunOrder, RunPage, RunsView};
pub use record::{RowFailure, RowParent, RowUsage, RunRow, Shown};

//! `/spend`: what was used up, by day and by what; and how full the budgets are that runs share.

mod amounts;
mod budgets;
mod chart;
mod choice;
mod group;
mod held;
mod limited;
mod page;
mod routes;

pub(crate) use choice::{GROUPS, PERIODS};
pub(crate) use routes::routes;

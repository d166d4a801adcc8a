//! `/audit`: what gates and people decided, on what, and what another policy would have said.

mod backtest;
mod decision;
mod decision_page;
mod export;
mod filter;
mod list;
mod names;
mod routes;
mod verify;

pub(crate) use decision::ListedRecheck;
pub(crate) use filter::{VERDICTS, since_type};
pub(crate) use routes::routes;

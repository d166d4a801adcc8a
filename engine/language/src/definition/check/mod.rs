//! What only the whole pipeline shows: order, loops, names, types of expressions.

mod absent;
mod approved;
mod fields;
mod graph;
mod loops;
mod name_check;
mod names;
mod previous;
mod roles;
mod run_fields;
mod signals;
mod since;
mod tolerated;
mod types;
mod upstream;

pub use fields::{RUN_FIELDS, STEP_FIELDS};
pub(super) use graph::graph;
pub(super) use names::names;
pub(super) use signals::signals;

//! The debugger: a run version by version, two versions or two runs compared, and what would be decided today.
//!
//! Law: what is shown is the past, which only these pages' links to actions lead out of. A version is an address, and
//! stepping with a script shows the same part that the page without scripts shows whole.

mod address;
mod board_diff;
mod compare;
mod course;
mod event;
mod expression;
mod find;
mod looked;
mod minimap;
mod order;
mod page;
mod policy;
mod reading;
mod replay;
mod routes;
mod runs_diff;
mod side;
mod state_fields;
mod step;
mod today;
mod tree;
mod why;

pub use reading::{EventNature, EventSearch, followed_from, reasons};
pub(crate) use routes::routes;
pub use state_fields::{FIELDS_APART, FIELDS_FIRST};

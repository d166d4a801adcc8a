//! `/start` and `/pipelines/{name}/start`: begins a run, with a form made of the schema of its input.

mod faults;
mod page;
mod prefill;
mod routes;
pub(crate) mod schema_form;
mod typed;

pub(crate) use faults::left_errors;
pub(crate) use routes::routes;

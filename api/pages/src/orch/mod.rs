//! `/orch`: tasks that go along stages, a column each.

mod page;
mod routes;
mod task;

pub(crate) use routes::routes;

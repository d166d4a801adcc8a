//! `/find`: runs, pipelines, pages and actions by what somebody types. The palette shows the same hits.

mod page;
mod places;
mod routes;

pub(crate) use routes::routes;

//! `/insights`: what the history of runs shows, each with the query behind it.

mod choice;
mod page;
mod routes;
mod table;

pub(crate) use routes::routes;

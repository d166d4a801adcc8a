//! The OpenAPI document of the routes, and its page.
//!
//! Law: the document is generated from the routes that are served. What all operations have in common (the required
//! role, errors, headers of writes) is written in one place, from the tables that decide it: [`crate::access::needed`]
//! and [`crate::fault::Code`]. So the document cannot differ from what the routes do.
//!
//! `openapi.rs` assembles it: `operation.rs`, `errors.rs`, `names.rs`, `choices.rs`, `exact.rs`, `links.rs` and
//! `chosen_rows.rs`, which also does what it describes, each add a part; `page.rs` serves it. `parameterless.rs` holds routes to it.

mod choices;
pub(super) mod chosen_rows;
mod errors;
mod exact;
mod links;
mod names;
mod openapi;
mod operation;
pub(super) mod page;
pub(super) mod parameterless;
mod part;
pub(super) mod route_list;
#[cfg(test)]
mod tests;
mod uncompressed;

pub(crate) use openapi::document_of;
pub(crate) use page::DocumentText;
pub(crate) use uncompressed::Uncompressed;

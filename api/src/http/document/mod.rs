//! The OpenAPI document of the routes, and its page.
//!
//! Law: the document is made of the very routes that are served, and what all of them have in common (who may
//! call, how errors look, what comes with a write) is written by one place from the tables that decide it:
//! [`crate::access::needed`] and [`crate::fault::Code`]. So it cannot say something else than they do.

mod choices;
mod errors;
mod exact;
mod links;
mod names;
mod openapi;
mod operation;
pub(super) mod page;
mod part;
#[cfg(test)]
mod tests;
mod uncompressed;

pub(crate) use openapi::document_of;
pub(crate) use page::DocumentText;
pub(crate) use uncompressed::Uncompressed;

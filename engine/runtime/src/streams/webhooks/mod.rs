//! Webhooks: deliveries are recorded, handled and listed.
//!
//! Law: one task, the webhook actor, is the only writer of the sources' streams. A delivery is durable before it is
//! acknowledged; the deliveries of a source are handled one after the other, in the order in which they came;
//! what is to be handled is read from the folded stream, so recovery is the ordinary path taken once more.

pub(crate) mod actor;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod list;
pub(crate) mod mailbox;
pub(crate) mod receipt;
pub(crate) mod source_stream;

mod active_source;
mod ask_trigger;
mod delivery_requests;
mod source_work;

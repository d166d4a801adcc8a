//! The index: the streams as they are read, kept by sled, derived from the journal.
//!
//! Law: the index proves nothing. It may be thrown away at any moment and is built again from the
//! journal; nothing is acknowledged because it is here. No panic of sled's leaves this module.
//!
//! Called by the store's threads and, on blocking threads, by its readers. Nothing else names sled.

mod apply;
mod catch_up;
mod error;
mod index;
mod keys;
mod packing;
mod read;
mod values;

pub(crate) use apply::{Behind, IndexBatch, IndexEntry};
pub(crate) use catch_up::catch_up;
pub(crate) use error::IndexError;
pub(crate) use index::{Index, close_when_unused, sync_released};
pub(crate) use values::appends_in;

//! Where read models are stored: keys and values in a sled database of their own, or in memory.
//!
//! Law: nothing here is a source of truth. It may be deleted at any moment and is folded again from the log.
//! A batch is written as a whole or not at all. No panic of sled leaves this module; nothing else names sled.
//!
//! Read and written by [`crate::write_batch`] and [`crate::snapshot`]; the read side opens and closes it.

mod error;
mod manifest;
mod store;
mod values;

pub use error::StorageError;
pub(crate) use store::Storage;
pub(crate) use values::{Checkpoint, StorageKey, StorageValue, StoredPair};

//! The journal: append-only segment files that alone decide what was acknowledged.
//!
//! Law: a group is one write and one `fdatasync`; group n+1 is written only after n is synced. So a
//! bad group before a valid one is damage, and only the very last one may be torn.
//!
//! `format` knows the bytes, `segment` the list of files, `reader` walks groups, `recover` opens a
//! journal, `salvage` walks a damaged one, `tail` says where it ends, `writer` extends it, `prepare` makes the next segment before it is needed,
//! `compress` compresses those that have a successor, `compressed` reads them, and `block_layout` finds their blocks.
//!
//! Called by the store's writer thread, by readers of the whole log, by recovery and verification.

mod block_layout;
pub(crate) mod compress;
pub(crate) mod compressed;
pub(crate) mod format;
pub(crate) mod prepare;
pub(crate) mod reader;
pub(crate) mod recover;
pub(crate) mod salvage;
pub(crate) mod segment;
pub(crate) mod tail;
pub(crate) mod writer;

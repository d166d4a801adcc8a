//! Secondary indexes over numbered rows.
//!
//! Law: an index stores numbers of rows under keys of its model and never a row itself.
//!
//! [`bitmap_index`] maps terms to sets of rows, [`predicate`] combines such sets, [`lifetimes`] answers which rows
//! existed at a position, [`start_times`] bounds lists by time, [`short_ids`] finds runs by the last digits of their
//! ids.

pub(crate) mod bitmap_index;
pub(crate) mod lifetimes;
pub(crate) mod predicate;
pub(crate) mod short_ids;
pub(crate) mod start_times;

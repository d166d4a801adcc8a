//! The slot allocator: gives out the keys and slots that runs hold.
//!
//! Law: one task owns all key streams and is their only writer, so what it decides on is true until it
//! has decided. A run begins only after the allocator has informed it, durably, that it holds everything
//! it wants; the end of a run reaches the allocator before its slots go to another run. Where a crash came
//! in between, the key's stream is compared with the runs' when it is opened (D9).

pub(crate) mod allocator;
pub(crate) mod key_stream;
pub(crate) mod mailbox;
pub(crate) mod reservation;
pub(crate) mod run_pauses;

mod grants;
mod open_keys;
mod run_messages;
mod start_checks;
mod waiting;

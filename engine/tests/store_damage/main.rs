//! Every region of every file of a small store, flipped, cut, zeroed and removed: healed from the
//! journal with a warning, reported with its place, or without effect on any answer. Never a panic,
//! never silently less.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../events/mod.rs"]
mod events;
mod regions;
mod repairing;
mod sample;
mod verifying;

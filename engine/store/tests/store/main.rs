//! The store: what every store guarantees, what damage to its files leads to, what failing system calls lead to.
//!
//! Each test has a folder and a file layer of its own; none changes what the process shares, so all run at once.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod compression;
mod conformance;
mod damage;
mod fault_files;
mod faults;
mod fixtures;
mod writer;

//! Repair of a store that cannot be opened, or has lost a part of its journal.
//!
//! Law: a plan says exactly what would be done and changes nothing; only `apply` writes. The old
//! journal is kept beside the new one. What is restored, from the index or from another copy, is what the hash chain of its
//! stream proves; what nothing holds any more is named, and then nothing is done.
//!
//! Called by `everfold store repair`, on a folder that no process has open.

mod apply;
mod look;
mod other_copy;
mod rewritten_journal;
mod steps;
mod stream_chains;
#[cfg(test)]
mod tests;

pub use apply::{apply, plan};
pub use steps::{LaterHistory, RepairError, RepairPlan, RepairStep, RestoreFrom};

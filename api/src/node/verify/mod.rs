//! Verification of a store: its events and snapshots, the logs of attempts, the digest of the log.

mod log_digest;
mod logs;
mod store;

pub use log_digest::{BadLogDigest, LogDigest};
pub use store::{Verified, verify_folder};

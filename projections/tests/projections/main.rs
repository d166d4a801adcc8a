//! Tests of the read models: laws of their folds over random histories, and the read side over a store in a folder.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// What `failing_log` names, as the engine's facade names it: two crates include that file.
mod engine {
    pub use everfold_base::{envelope, id, json, time};
    pub use everfold_store as store;
}
mod decisions;
mod expressions;
mod failing_log;
mod folded_log;
mod grouped;
mod history_writer;
mod kill;
mod laws;
mod random_run;
mod read_side;
mod scans;
mod sorted;
mod stages;
mod synthetic_runs;
mod unreadable_log;

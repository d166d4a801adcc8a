//! Tests of the read models: laws of their folds over random histories, and the read side over a store in a folder.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod failing_log;
mod history_writer;
mod kill;
mod laws;
mod random_run;
mod read_side;
mod synthetic_runs;
mod unreadable_log;

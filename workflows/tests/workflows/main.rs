//! The tests of this crate that need more than one of its parts, over real processes, files and sockets.
//!
//! | file | what it tests |
//! |---|---|
//! | `supervisor` | the supervisor with real processes, without an engine |
//! | `executors`, `functions` | attempts by processes and by functions |
//! | `unreadable_attempts` | attempt folders that the system does not let be read |
//! | `full_disk` | attempts on a disk that is full (needs root) |
//! | `secrets_and_turns` | secrets, clean worktrees, turns of agents, copies of worktrees |
//! | `workspaces`, `users_checkout` | worktrees of runs, and the repository around the data folder |
//! | `probes`, `evidence` | what probers find |
//! | `providers` | requests, services that host repositories, the functions `git.*` |
//! | `delivery_pipeline` | the built-in pipeline, effect by effect |
//!
//! `tests/handles.rs` is a program of its own: it takes all file handles that its process may have.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod builtin_pipelines;
mod delivery_pipeline;
mod evidence;
mod executors;
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod full_disk;
mod functions;
mod probes;
mod providers;
mod secrets_and_turns;
mod supervisor;
mod unreadable_attempts;
mod users_checkout;
mod workspaces;

/// The program that supervises attempts.
const SUPERVISOR: &str = env!("CARGO_BIN_EXE_everfold-shim-under-test");

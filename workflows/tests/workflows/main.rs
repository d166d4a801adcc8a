//! The tests of this crate that need more than one of its parts, over real processes, files and sockets.
//!
//! | file | what it tests |
//! |---|---|
//! | `supervisor` | the supervisor with real processes, without an engine |
//! | `supervisor_room` | the supervisor on a full disk, and at a limit of the size of files |
//! | `folders_in_the_way` | folders under the names of the supervisor's files |
//! | `executors`, `functions` | attempts by processes and by functions |
//! | `unreadable_attempts` | attempt folders that the system does not let be read |
//! | `removed_folders` | attempts whose folder is removed while they are at work |
//! | `full_disk` | attempts on a disk that is full (needs root) |
//! | `agents`, `agent_failures` | agents: profiles, answers in turns, sessions; codes of failures, preflight |
//! | `secrets` | secrets of attempts |
//! | `workspaces`, `clean_worktrees` | worktrees of runs, clean retries, copies |
//! | `users_checkout`, `saved_work` | the repository around the data folder, and what is saved |
//! | `probes`, `evidence` | what probers find |
//! | `providers` | requests, services that host repositories, the functions `git.*` |
//! | `forge`, `telegram` | the functions `gitea.*` and `telegram.*` |
//! | `former_engine` | a worker before an engine of a former version |
//! | `delivery_pipeline` | the built-in pipeline, effect by effect |
//!
//! `tests/handles.rs` is a program of its own: it takes all file handles that its process may have.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod agent_failures;
mod agents;
mod builtin_pipelines;
mod checkout;
mod clean_worktrees;
mod delivery_pipeline;
mod evidence;
mod executors;
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod folders_in_the_way;
mod forge;
mod former_engine;
mod full_disk;
mod functions;
mod probes;
mod providers;
mod pushed_by_others;
mod remarks;
mod removed_folders;
mod saved_work;
mod secrets;
mod supervisor;
mod supervisor_room;
mod telegram;
mod unreadable_attempts;
mod users_checkout;
mod workspaces;

/// The program that supervises attempts.
const SUPERVISOR: &str = env!("CARGO_BIN_EXE_everfold-shim-under-test");

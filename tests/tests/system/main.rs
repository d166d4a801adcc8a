//! The whole system, seen from outside: the real program in real folders, its processes, its server.
//!
//! | module | what it tests |
//! |---|---|
//! | `cli` | the command line: texts, exit codes, two owners of a folder, a server |
//! | `crash` | SIGKILL at every event and at random, full disks |
//! | `service` | the served program under load, killed and started again |
//! | `workers` | workers of the program, killed and outlived |
//! | `real_executors` | an engine over the executors, probers and workspaces of `everfold-workflows` |
//! | `orch` | ORCH on Everfold: its scripts, and its pipeline over services that are played |
//! | `file_systems` | the store on file systems that are full, or layers (needs root) |
//! | `demo`, `demo_orch`, `documents`, `readme` | what `everfold demo`, the pages and the README say, done word for word |
//!
//! Law: no test changes its process: environment, current directory, limits. So all run at once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cli;
mod crash;
mod demo;
mod demo_orch;
mod documents;
mod file_systems;
mod golden_histories;
mod history;
mod orch;
mod readme;
mod real_executors;
mod service;
mod workers;
mod workflow_fixtures;

/// The program that supervises attempts.
const SUPERVISOR: &str = env!("CARGO_BIN_EXE_everfold-under-test");

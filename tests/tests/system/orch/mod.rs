//! ORCH on Everfold, from outside: the scripts of `ops/orch` over a docker and services that are played.
//!
//! Tests are named by the rule that they show.

mod deploy_hook;
mod host_clone;
mod launcher;
mod staging_suite;
mod staging_world;

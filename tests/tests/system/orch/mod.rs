//! ORCH on Everfold, from outside: the scripts of `ops/orch` over a docker and services that are played, and the
//! built-in pipeline over `serve` and webhooks.
//!
//! Tests are named by the rule that they show.

mod advance;
mod briefs;
mod buttons;
mod crash;
mod deploy_hook;
mod deploy_log;
mod gitea_forms;
mod golden_task;
pub(crate) mod host_clone;
mod imported;
mod intake;
mod launcher;
mod pull_requests;
mod refused_rounds;
mod restarted_wait;
mod services;
mod setbacks;
mod staging_suite;
mod staging_world;
mod stale_documents;
mod tripwire;
mod waits;
mod walk;
mod world;

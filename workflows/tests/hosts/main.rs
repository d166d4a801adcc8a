//! Requests, services that host repositories, and what pipelines do with git: over real sockets, with
//! real repositories.
#![allow(clippy::unwrap_used)]

mod checks;
mod delivery;
mod fake;
mod git_functions;
mod place;
mod pulls;
mod requests;
mod services;
#[path = "../support/mod.rs"]
mod support;

//! Requests, services that host repositories, and what pipelines do with git: over real sockets, with
//! real repositories.

mod checks;
mod free_branch;
mod git_functions;
mod pulls;
mod requests;

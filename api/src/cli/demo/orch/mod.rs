//! `demo orch`: a task of Plane goes through all stages, with a rejection, a CI failure and a kill half-way.
//!
//! Law: what is shown was seen where it happened: comments and states at Plane's fake, messages at Telegram's, commits in
//! git, executions in the file that the agents write. Nothing is shown because time has passed.

mod service;
mod stage;
mod story;
mod town;

pub(super) use story::run;

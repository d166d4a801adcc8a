//! `demo`: a delivery whose engine is killed half-way.
//!
//! Law: what it claims was looked up where it happened: processes at the kernel, executions in the
//! file that the agents write, the merge in git. Nothing is shown because time has passed.

mod agent;
mod engine;
mod fault;
mod orch;
mod proof;
mod screen;
mod script;
mod stage;

pub(crate) use script::run;

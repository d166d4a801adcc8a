//! How a run begins: checks, slots, the first input, forks.
//!
//! Law: a refused start leaves nothing behind; an accepted one is durable before it is answered.

pub(crate) mod admission;
pub(crate) mod adopt;
pub(crate) mod ancestors;
pub(crate) mod child_definitions;
pub(crate) mod fork;
pub(crate) mod fork_mismatch;
pub(crate) mod initiator;
pub(crate) mod runs_above;
pub(crate) mod start_run;
pub(crate) mod submission;
pub(crate) mod task_title;

//! The work of runs: attempts, probes, workspaces, notices and child runs, from the plan to the result.
//!
//! Law: work starts only when the event that announces it is durable; its result becomes an input of its run.

pub(crate) mod children;
pub(crate) mod launch;
pub(crate) mod multi_probe;
pub(crate) mod notice;
pub(crate) mod observer;
pub(crate) mod probe;
pub(crate) mod release;
pub(crate) mod request;
pub(crate) mod reservations;
pub(crate) mod results;
pub(crate) mod run_span;
pub(crate) mod work_done;
pub(crate) mod worktree_copies;

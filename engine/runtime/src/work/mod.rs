//! The work of runs: attempts, probes, workspaces, notices and child runs, from the plan to the result.
//!
//! Law: work starts only when the event that announces it is durable; its result becomes an input of its run.
//!
//! An attempt reads downwards: `attempt_actions` gives events to its life cycle and carries out what follows: `plan`,
//! `launch`, `report`, `stop`. The other kinds of work have a file each.

pub(crate) mod attempt_actions;
pub(crate) mod child_run;
pub(crate) mod early_lease;
pub(crate) mod launch;
pub(crate) mod look;
pub(crate) mod multi_probe;
pub(crate) mod notice;
pub(crate) mod observer;
pub(crate) mod plan;
pub(crate) mod probe;
pub(crate) mod progress_limit;
pub(crate) mod release;
pub(crate) mod report;
pub(crate) mod request;
pub(crate) mod reservations;
pub(crate) mod results;
pub(crate) mod run_span;
pub(crate) mod signal_work;
pub(crate) mod spare;
pub(crate) mod stop;
pub(crate) mod withdraw;
pub(crate) mod work_done;
pub(crate) mod workspace;
pub(crate) mod worktree_copies;

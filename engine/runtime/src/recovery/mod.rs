//! Recovery of what a former engine left: runs, processes, resources, aborted forks.
//!
//! Law: recovery uses the ordinary path; it only finds out which runs, processes and resources there are.

pub(crate) mod abandon;
pub(crate) mod aborted_forks;
pub(crate) mod lost_work;
pub(crate) mod orphan_processes;
pub(crate) mod orphan_reservations;
pub(crate) mod orphan_resources;
pub(crate) mod recover;
pub(crate) mod start_holds;
pub(crate) mod unknown_work;

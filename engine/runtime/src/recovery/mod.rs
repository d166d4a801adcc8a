//! What an engine does about the state that an engine before it left.
//!
//! Law: recovery takes the ordinary path once more; it only finds out which runs, processes and resources
//! there are.

pub(crate) mod abandon;
pub(crate) mod aborted_forks;
pub(crate) mod orphan_processes;
pub(crate) mod orphan_reservations;
pub(crate) mod orphan_resources;
pub(crate) mod recover;
pub(crate) mod unknown_work;

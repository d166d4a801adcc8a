//! `orch`: tasks of the delivery orchestrator, a file for each verb.
//!
//! Law: it declares; each verb asks the routes.

mod group;
mod import;
mod onboard;
mod status;

pub(super) use group::run;

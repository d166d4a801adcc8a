//! `orch`: tasks of the delivery orchestrator, a file for each verb.
//!
//! Law: it declares; each verb asks the routes.

mod group;
mod import;
mod onboard;
mod queue;
mod status;
mod task_list;
mod task_text;

pub(super) use group::run;

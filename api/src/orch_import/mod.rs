//! ORCH's tasks become runs: its database is read, and what it says of each task is recorded as a history.
//!
//! Laws:
//! - The source is only read: no lock, no journal, no checkpoint of ORCH's is touched.
//! - A history is decided by the core, from ORCH's facts at ORCH's times: a task is played as a run of its own in virtual
//!   time, and the events that the engine recorded then are brought over ([`everfold_engine::driver::ForeignHistory`]).
//!   What ORCH did not record (who approved, what a gate saw) is not made up.
//! - Repeating an import changes nothing; what is there already is said, and left.

mod facts;
mod history;
mod import;
mod late_answers;
mod plan;
mod play;
mod projects;
mod snapshot;
mod source;
#[cfg(test)]
mod tests;
mod times;

pub(crate) use history::is_launch;
pub(crate) use import::{ImportOutcome, ImportReport, ImportedTask, import};
pub(crate) use plan::{TaskPlan, plan};
pub(crate) use projects::read_projects;
pub(crate) use source::read_database;

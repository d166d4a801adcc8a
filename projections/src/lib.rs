//! Read models of Everfold, folded from the event log.
//!
//! Law: a read model is a pure fold. It knows no clock, no store and no run's definition; folded
//! again from the first event it is equal to the one that was kept up all the time. Models never
//! write to a run.
//!
//! The owner of a data folder keeps [`Models`] up from its subscription; answers of the lists over
//! many runs are read from them.
#![forbid(unsafe_code)]

mod activity;
mod attempts;
mod audit;
mod current;
mod inbox;
mod models;
mod projection;
mod runs;
mod spend;
mod task;

pub use attempts::{AttemptEnd, AttemptRow, Attempts};
pub use audit::{Audit, Decision, DecisionKind};
pub use current::{CurrentModels, RunDirectory};
pub use inbox::Inbox;
pub use models::{Models, Unreadable};
pub use projection::{Fact, Projection};
pub use runs::{RunFilter, RunPage, RunRow, RunRows};
pub use spend::{SpendBy, SpendFilter, SpendRow, SpendRows, SpendSum};
pub use task::{NoTaskName, Remark, Task, TaskKind, TaskName};

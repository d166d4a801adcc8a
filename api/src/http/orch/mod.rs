//! Tasks of pipelines with stages: where they stand, their queue, their reviews, their costs.
//!
//! Law: it joins what the read models `stages`, `runs` and `spend` say as of one position; it folds nothing itself.

mod costs;
mod detail;
mod find;
mod list;
mod pending;
mod queue;
mod review;
mod scan;
mod staged_task;
mod tracker;

pub(in crate::http) use costs::{__path_costs, costs};
pub(in crate::http) use detail::{__path_task, task};
pub(in crate::http) use list::{__path_tasks, tasks};
pub(in crate::http) use queue::{__path_queue, queue};
pub(in crate::http) use review::{__path_review, review};

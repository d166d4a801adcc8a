//! `/runs/{run}`: where a run is, what it waits for, what failed, what to do next.
//!
//! To begin with: `overview.rs` reads what the page shows; `head.rs` is on top of every page of a run. `facts.rs` is
//! the run as REST has it, `waits.rs` and `next.rs` say what it waits for and what can be done, `graph.rs` and
//! `time.rs` draw, `child_ends.rs` and
//! `child_waits.rs` say how it is with runs that steps started, `story.rs` tells, `panel.rs` shows a step.

mod axis;
mod child_ends;
mod child_waits;
mod event;
mod facts;
mod graph;
mod head;
mod histogram;
mod next;
mod overview;
mod panel;
mod routes;
mod spans;
mod story;
mod time;
mod waits;

pub(crate) use head::{RunHead, RunTab};
pub(crate) use routes::routes;

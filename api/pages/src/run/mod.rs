//! `/runs/{run}`: where a run is, what it waits for, what failed, what to do next.
//!
//! To begin with: `overview.rs` reads what the page shows; `head.rs` is on top of every page of a run. `facts.rs` is
//! the run as REST has it, `waits.rs` and `next.rs` say what it waits for and what can be done, `graph.rs` and
//! `time.rs` draw, `story.rs` tells, `panel.rs` shows a step. `below.rs` has what runs below ask, `child_ends.rs` and
//! `child_waits.rs` say how it is with them, `items.rs` has the items of a `foreach`, `older.rs` finds events that the
//! page does not read.

mod axis;
mod below;
mod child_ends;
mod child_waits;
mod children;
mod event;
mod facts;
mod folding;
mod graph;
mod head;
mod histogram;
mod items;
mod judged;
mod next;
mod older;
mod overview;
mod panel;
mod routes;
mod spans;
mod story;
mod time;
mod waits;

pub(crate) use children::{CHILDREN_MAX, ChildFacts, given_and_made};
pub(crate) use graph::{LABEL, LayoutBlock, PER_CHAR, Point, curve, fitted};
pub(crate) use head::{RunHead, RunTab};
pub(crate) use items::item_name;
pub(crate) use routes::routes;

//! What only the whole pipeline shows: order, loops, names, types of expressions.

mod absent;
mod fields;
mod graph;
mod loops;
mod names;
mod signals;
mod types;
mod upstream;

pub(super) use graph::graph;
pub(super) use names::names;
pub(super) use signals::signals;
pub(super) use upstream::Upstream;

//! What only the whole pipeline shows: order, loops, names, types of expressions.

mod graph;
mod names;
mod types;
mod upstream;

pub(super) use graph::graph;
pub(super) use names::names;
pub(super) use upstream::Upstream;

//! `/pipelines`: what can be started, whether it is well, and how it is defined.

mod address;
mod edit;
mod figures;
mod graph;
mod list;
mod page;
mod plan;
mod routes;
mod schema;
mod steps;
mod tab;
mod view;

pub(crate) use address::{pipeline_path, run_path, segment};
pub(crate) use routes::routes;
pub(crate) use tab::PipelinesTab;
pub(crate) use view::{PipelineView, RestList};

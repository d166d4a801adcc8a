//! The addresses of pipelines and runs.

pub(crate) use crate::words::encoded as segment;

/// The address of a pipeline's page, also below it.
#[must_use]
pub(crate) fn pipeline_path(name: &str, below: &str) -> String {
    format!("/pipelines/{}{below}", segment(name))
}

/// The address of a run's page.
#[must_use]
pub(crate) fn run_path(id: &str) -> String {
    format!("/runs/{}", segment(id))
}

//! Who does the work of a node, and what it lacks.

use std::sync::Arc;

use everfold_workflows::agent::PreflightFindings;
use everfold_workflows::function::Functions;
use everfold_workflows::remote::LeaseTable;

/// Who does the work, and what it lacks.
pub(crate) struct WorkSources {
    /// Every function that pipelines may name.
    pub(crate) functions: Arc<Functions>,
    /// The work that workers fetch and hold.
    pub(crate) book: LeaseTable,
    /// What preflights of agents found.
    pub(crate) preflights: PreflightFindings,
}

//! Who does the work of a node, and what it lacks.

use std::sync::Arc;

use everfold_workflows::agent::PreflightFindings;
use everfold_workflows::function::Functions;
use everfold_workflows::remote::LeaseTable;

/// Who does the work, and what it lacks.
pub(super) struct WorkSources {
    /// Every function that pipelines may name.
    pub(super) functions: Arc<Functions>,
    /// The work that workers fetch and hold.
    pub(super) book: LeaseTable,
    /// What preflights of agents found.
    pub(super) preflights: PreflightFindings,
}

//! Structs of former schemas: gates. Frozen for ever.

use serde::{Deserialize, Serialize};

use everfold_base::id::AttemptId;

/// [`crate::event::ProbeFailed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeFailed1 {
    pub(crate) id: AttemptId,
    pub(crate) gate: String,
    pub(crate) probe_no: u32,
    pub(crate) message: String,
    pub(crate) permanent: bool,
    pub(crate) took_ms: u64,
}

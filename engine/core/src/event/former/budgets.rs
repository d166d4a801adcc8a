//! Structs of former schemas: budgets. Frozen for ever.

use serde::{Deserialize, Serialize};

use crate::artefact::Usage;
use everfold_base::id::AttemptId;

/// [`crate::event::UsageRecorded`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UsageRecorded1 {
    pub(crate) id: AttemptId,
    pub(crate) seq: u32,
    pub(crate) usage: Usage,
}

/// [`crate::event::FundsRequested`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FundsRequested1 {
    pub(crate) id: AttemptId,
}

//! Structs of former schemas: budgets. Frozen for ever.

use serde::{Deserialize, Serialize};

use everfold_base::id::AttemptId;

/// [`crate::event::FundsRequested`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FundsRequested1 {
    pub(crate) id: AttemptId,
}
